from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.engine import EngineError
from harness.engines.real.vllm import Capacity, Vllm, capacity

if TYPE_CHECKING:
    from pathlib import Path


ONE_LINE = """\
INFO [kv_cache_utils.py:2327] CPU KV cache size: 137,760 tokens, Maximum concurrency for \
4,096 tokens per request: 33.63x
"""
TWO_LINES = """\
INFO 10-26 [kv_cache_utils.py:864] GPU KV cache size: 137,744 tokens
INFO 10-26 [kv_cache_utils.py:868] Maximum concurrency for 4,096 tokens per request: 33.63x
"""
OLD = """\
INFO executor_base.py:110] # GPU blocks: 8609, # CPU blocks: 2048
INFO executor_base.py:115] Maximum concurrency for 4096 tokens per request: 33.63x
"""


@pytest.mark.parametrize(("log", "tokens"), [(ONE_LINE, 137760), (TWO_LINES, 137744), (OLD, None)])
def test_the_capacity_is_read_as_every_release_prints_it(log: str, tokens: int | None) -> None:
    assert capacity(log) == Capacity(context_length=4096, concurrency=33.63, tokens=tokens)


@pytest.mark.parametrize("log", ["Application startup complete.", TWO_LINES.splitlines()[0]])
def test_a_log_without_the_line_has_no_capacity(log: str) -> None:
    assert capacity(log) is None


def test_after_a_restart_the_last_capacity_counts() -> None:
    line = "GPU KV cache size: {} tokens\nMaximum concurrency for 1,024 tokens per request: {}x\n"
    found = capacity(line.format("2,048", "2.00") + line.format("3,072", "3.00"))
    assert found == Capacity(context_length=1024, concurrency=3.0, tokens=3072)


def made(folder: Path, **changes: Any) -> Vllm:
    folder.joinpath("model").mkdir(exist_ok=True)
    folder.joinpath("model/config.json").write_text("{}")
    folder.joinpath("model/model.safetensors").write_bytes(b"")
    given = {"served_as": ["coder", "other"], "api_key": "sk-canary-key", **changes}
    python = folder / "python"
    return Vllm("vllm", python=python, model=folder / "model", directory=folder, port=1, **given)


def test_the_key_goes_by_the_environment_never_by_the_command(tmp_path: Path) -> None:
    engine = made(tmp_path)
    engine._port = type("Port", (), {"port": 8001})()
    assert "sk-canary-key" not in " ".join(engine.command())
    assert engine.environment()["VLLM_API_KEY"] == "sk-canary-key"


def test_blocks_context_and_names_reach_the_command(tmp_path: Path) -> None:
    engine = made(tmp_path, context_length=1024, blocks=100, options=("--max-num-seqs", "16"))
    engine._port = type("Port", (), {"port": 8001})()
    command = " ".join(engine.command())
    for words in (
        "--max-model-len 1024",
        "--block-size 32",
        "--num-gpu-blocks-override 100",
        "--max-num-seqs 16",
        "--enforce-eager",
    ):
        assert words in command
    assert engine.command()[-3:] == ["--served-model-name", "coder", "other"]
    limit = command.partition("--override-generation-config ")[2]
    assert json.loads(limit[: limit.index("}") + 1]) == {"max_new_tokens": 256}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("config.json", "{", "its config.json"),
        ("config.json", None, "its config.json"),
        ("model.safetensors", None, "no .*safetensors"),
    ],
)
def test_a_folder_that_holds_no_model_is_refused_before_the_start(
    tmp_path: Path, name: str, content: str | None, why: str
) -> None:
    engine = made(tmp_path)
    path = engine.model / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(EngineError, match=rf"vllm cannot serve .*{why}.*[Dd]elete it") as caught:
        engine.check()
    assert caught.value.id == "engine.model"


def test_no_name_to_serve_under_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="give it one name at least"):
        made(tmp_path, served_as=[]).check()
