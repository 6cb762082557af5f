from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.engines.engine import EngineError
from harness.engines.real.llama_cpp_python import LlamaCppPython
from harness.engines.real.llama_server import LlamaServer

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-canary-key"


@pytest.fixture
def native(tmp_path: Path) -> LlamaServer:
    engine = LlamaServer(
        "native",
        executable=tmp_path / "llama-server",
        model=tmp_path / "model.gguf",
        served_as=["one", "two"],
        context_length=8192,
        slots=4,
        api_key=KEY,
        directory=tmp_path,
    )
    engine._port = type("Port", (), {"port": 8080})()
    return engine


@pytest.fixture
def python(tmp_path: Path) -> LlamaCppPython:
    engine = LlamaCppPython(
        "python",
        python=tmp_path / "python",
        libraries=tmp_path / "lib",
        model=tmp_path / "model.gguf",
        served_as="one",
        api_key=KEY,
        directory=tmp_path,
    )
    engine._port = type("Port", (), {"port": 8000})()
    return engine


def test_every_slot_has_the_whole_context(native: LlamaServer) -> None:
    words = " ".join(native.command())
    assert "--ctx-size 32768 --parallel 4 --threads 1" in words
    assert "--alias one,two" in words
    assert "--metrics" in words


def test_the_python_server_never_cuts_one_stream_for_another(python: LlamaCppPython) -> None:
    assert "--interrupt_requests false" in " ".join(python.command())


def test_a_key_goes_by_the_environment_never_by_the_command(
    native: LlamaServer, python: LlamaCppPython, tmp_path: Path
) -> None:
    assert native.environment() == {"LLAMA_API_KEY": KEY}
    assert python.environment() == {"LLAMA_CPP_LIB_PATH": str(tmp_path / "lib"), "API_KEY": KEY}
    assert KEY not in " ".join([*native.command(), *python.command()])


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "cannot be read"), (b"", "begins with 'GGUF'"), (b"PK\x03\x04", "begins with 'GGUF'")],
)
def test_a_file_that_is_no_model_is_refused_before_the_start(
    native: LlamaServer, python: LlamaCppPython, content: bytes | None, why: str
) -> None:
    for engine in (native, python):
        if content is not None:
            engine.model.write_bytes(content)
        with pytest.raises(EngineError, match=rf"{engine.id} cannot serve .*{why}") as caught:
            engine.check()
        assert caught.value.id == "engine.model"
