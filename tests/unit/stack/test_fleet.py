from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.engines.engine import EngineError
from harness.engines.real.ollama_facade import OllamaFacade
from harness.registry import load
from harness.stack import TIERS, Stack, in_words, kinds_of, one_kind, require
from harness.stack.fleet import missing

if TYPE_CHECKING:
    from harness.evidence import Behind

REGISTRY = load(Path(__file__).parents[3] / "config")


@pytest.fixture(autouse=True)
def _no_ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the machine has an Ollama of its own decides nothing here."""
    monkeypatch.setenv("PATH", str(tmp_path))


def test_each_tier_has_more_real_engines_than_the_one_before() -> None:
    real = [
        {name for name, kind in kinds_of(REGISTRY, tier).items() if kind == "real"}
        for tier in TIERS
    ]
    assert real == [
        set(),
        {"llama-cpp-native"},
        {"llama-cpp-native", "llama-cpp-python", "vllm"},
    ]


@pytest.mark.parametrize(
    ("kinds", "one"),
    [
        (["real", "real"], "real"),
        (["real", "emulated"], "mixed"),
        (["emulated"], "emulated"),
        ([], "none"),
    ],
)
def test_different_kinds_together_are_mixed(kinds: list[Behind], one: str) -> None:
    assert one_kind(kinds) == one


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ({"a": "real", "b": "real"}, "real"),
        ({"a": "emulated"}, "emulated"),
        ({}, "none"),
        ({"a": "emulated", "vllm": "real", "c": "emulated"}, "vllm real, others emulated"),
        ({"a": "real", "b": "real", "c": "emulated"}, "c emulated, others real"),
        ({"a": "real", "b": "emulated"}, "a real, b emulated"),
        (
            {"a": "remote", "b": "real", "c": "real", "d": "emulated", "e": "emulated"},
            "a remote, b, c real, others emulated",
        ),
    ],
)
def test_of_several_kinds_it_is_said_who_is_which(kinds: dict[str, Behind], said: str) -> None:
    assert in_words(kinds) == said


def test_emulated_engines_need_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    require(REGISTRY, "emulated")


def test_what_is_not_installed_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    assert missing(REGISTRY, "full") == ["llama-cpp", "vllm", "valkey", "prometheus"]
    with pytest.raises(
        EngineError, match=r"nox -s engines -- llama-cpp valkey prometheus`"
    ) as caught:
        require(REGISTRY, "native")
    assert caught.value.id == "engine.not-installed"


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """One that was never started, in front of a real vLLM and emulated others."""
    stack = Stack(REGISTRY, client=cast("Any", None), directory=tmp_path, seed=1)
    for name in REGISTRY.enabled_providers():
        real = name == "vllm"
        kind = "real" if real else "emulated"
        each = SimpleNamespace(id=name, kind=kind, start_s=35.0 if real else 0.3)
        stack.engines[name] = cast("Any", each)
    return stack


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("vllm", "real"),
        ("vllm:workspace-coder", "real"),
        ("ollama", "emulated"),
        ("ollama:llama3.1:latest", "emulated"),
        ("gateway:qwen-coder-vllm", "real"),
        ("gateway:llama3.1:latest", "emulated"),
        ("qwen-coder-vllm [down: none]", "mixed"),
        ("qwen-coder-vllm [revived: ollama]", "mixed"),
        ("llama-cpp-balanced", "emulated"),
        ("code", "real"),
    ],
)
def test_evidence_says_what_stood_behind_its_subject(stack: Stack, subject: str, kind: str) -> None:
    assert stack.kind_of(subject) == kind


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("gateway:qwen-coder-vllm", "real"),
        ("qwen-coder-vllm [down: none]", "vllm real, others emulated"),
    ],
)
def test_a_figure_of_several_engines_names_those_that_differ(
    stack: Stack, subject: str, said: str
) -> None:
    assert stack.told_of(subject) == said


def test_what_concerns_the_whole_has_the_kind_of_the_whole(stack: Stack) -> None:
    for subject in ("no-such-model", "https://stranger.example", "wrong key"):
        assert stack.kind_of(subject) == "emulated"


def test_who_starts_slowly_comes_last_and_equal_ones_keep_their_order(stack: Stack) -> None:
    chain = ["vllm", "ollama", "llama-cpp-native"]
    assert stack.slowest_last(chain) == ["ollama", "llama-cpp-native", "vllm"]


def facade(tmp_path: Path, server: str) -> OllamaFacade:
    """One before a program that is no llama-server: it ends at once."""
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    return OllamaFacade(
        "ollama",
        executable=Path(server),
        model=tmp_path / "m.gguf",
        served_as=["a"],
        directory=tmp_path,
    )


def test_a_dead_server_behind_a_living_facade_is_named(stack: Stack, tmp_path: Path) -> None:
    gateway = SimpleNamespace(alive=lambda: True, pid=1)

    async def story() -> tuple[dict[str, str], dict[str, str], dict[str, int]]:
        engine = facade(tmp_path, "/bin/false")
        stack.engines = {"ollama": engine}
        stack.gateway = cast("Any", gateway)
        await engine.start()
        try:
            await engine.server.gone()
            found = stack.casualties()
            pids = stack.processes()
            stack._dead.add("ollama")
            return found, stack.casualties(), pids
        finally:
            await engine.stop()

    found, on_purpose, pids = asyncio.run(story())
    assert list(found) == ["ollama-llama-server"]
    assert on_purpose == {}
    assert {"ollama", "ollama-llama-server", "gateway"} == pids.keys()
