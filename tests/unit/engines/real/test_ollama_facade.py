from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from harness.engines.engine import EngineError
from harness.engines.real.ollama.__main__ import arguments
from harness.engines.real.ollama_facade import OllamaFacade
from harness.process.child import ProcessError


def facade(tmp_path: Path, *, model: bytes = b"GGUF", executable: str = "false") -> OllamaFacade:
    (tmp_path / "m.gguf").write_bytes(model)
    return OllamaFacade(
        "ollama",
        executable=Path(f"/bin/{executable}"),
        model=tmp_path / "m.gguf",
        served_as=["a:7b", "b"],
        directory=tmp_path,
        slots=2,
        queue=3,
        load_s=0.5,
    )


def test_it_is_an_emulation_and_says_so(tmp_path: Path) -> None:
    assert facade(tmp_path).kind == "emulated"
    assert facade(tmp_path).server.kind == "real"


def test_its_process_is_told_everything(tmp_path: Path) -> None:
    async def command() -> list[str]:
        engine = facade(tmp_path, executable="sleep")
        try:
            await engine.start()
            return engine.command()
        finally:
            await engine.stop()

    words = asyncio.run(command())
    told = arguments().parse_args(words[3:])
    assert (told.parallel, told.queue, told.load_s, told.model) == (2, 3, 0.5, ["a:7b", "b"])


def test_a_file_that_is_no_model_is_refused_before_anything_starts(tmp_path: Path) -> None:
    engine = facade(tmp_path, model=b"nope")
    with pytest.raises(EngineError) as caught:
        asyncio.run(engine.start())
    assert caught.value.id == "engine.model"
    assert not engine.running


def test_a_server_that_dies_behind_it_is_named(tmp_path: Path) -> None:
    async def run() -> None:
        engine = facade(tmp_path)
        await engine.start()
        try:
            await engine.ready(20)
        finally:
            await engine.stop()

    with pytest.raises(ProcessError, match="llama-server ollama-llama-server"):
        asyncio.run(run())
