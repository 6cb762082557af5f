from __future__ import annotations

from pathlib import Path

import pytest

from harness.contract.targets import TargetError, install, public_names, targets
from harness.engines.installs import KNOWN
from harness.registry import examine, load
from harness.registry.examples import sources

REGISTRY = load(Path(__file__).parents[3] / "config")


@pytest.fixture(autouse=True)
def _nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def _all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for installation in KNOWN.values():
        monkeypatch.setattr(type(installation), "installed", lambda _: True)


BOTH = ["llama-cpp-native", "llama-cpp-python"]


@pytest.mark.parametrize(
    ("word", "providers"),
    [
        ("vllm", ["vllm"]),
        ("llama-cpp", BOTH),
        ("llama_cpp_python", ["llama-cpp-python"]),
        ("emulated:vllm", ["vllm"]),
        ("ollama", ["ollama"]),
    ],
)
def test_where_nothing_is_installed_a_name_is_the_emulated_one(
    word: str, providers: list[str]
) -> None:
    assert sorted(targets(REGISTRY, word)) == sorted(f"emulated:{each}" for each in providers)


@pytest.mark.usefixtures("_all_installed")
@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("vllm", ["real:vllm"]),
        ("real:vllm", ["real:vllm"]),
        ("emulated:vllm", ["emulated:vllm"]),
        ("llama-cpp", [f"real:{each}" for each in BOTH]),
        ("real", ["real:llama-cpp-native", "real:llama-cpp-python", "real:vllm"]),
        ("ollama", ["emulated:ollama"]),
    ],
)
def test_where_it_is_installed_a_name_is_the_real_one(word: str, meant: list[str]) -> None:
    assert sorted(targets(REGISTRY, word)) == meant


def test_all_of_a_kind() -> None:
    everybody = {f"emulated:{each}" for each in REGISTRY.enabled_providers()}
    assert set(targets(REGISTRY, "emulated")) == everybody
    named = targets(REGISTRY, "gateway")
    assert named
    assert all(each.startswith("gateway:") for each in named)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("nobody", "choose among emulated, real, gateway"),
        ("false:vllm", "nobody is called false:vllm"),
        ("real:vllm", "run `nox -s engines -- vllm`, or choose emulated:vllm"),
        ("real", "nox -s engines -- (vllm llama-cpp|llama-cpp vllm)"),
        ("real:ollama", "no registry has it"),
    ],
)
def test_who_is_not_there_is_an_error_that_says_what_to_do(word: str, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        targets(REGISTRY, word)


def test_a_name_that_two_servers_share_is_not_asked_for_the_contract() -> None:
    """Its two answers may come from two servers: nothing follows from their being different."""
    spare = (
        "type: openai_compatible, status: active, base_url: 'https://{0}.example', models: [{{"
        "name: {0}, served_as: {0}, context_length: 8192, capabilities: [chat], mode: chat, "
        "residency: always}}]"
    )
    registry, findings = examine(
        sources(
            f"providers.yaml: {{providers: {{one: {{{spare.format('one')}}}, "
            f"two: {{{spare.format('two')}}}}}}}\n"
            "model-mappings.yaml: {public_models: [both], routes: {exact: {"
            "one: {provider: one, model: one}, two: {provider: two, model: two}}}, "
            "load_balancing: {both: {strategy: weighted, members: [{route: one}, {route: two}]}}}"
        )
    )
    assert registry is not None, findings
    names = public_names(registry)
    assert "gateway:both" not in names
    assert "gateway:one" in names


def test_of_the_shipped_names_only_public_ones_are_asked() -> None:
    assert set(public_names(REGISTRY).values()) <= set(REGISTRY.public_models)


def test_what_would_make_an_emulated_target_real() -> None:
    assert install(REGISTRY, "emulated:vllm") == "vllm"
    assert install(REGISTRY, "emulated:ollama") is None
    assert install(REGISTRY, "real:vllm") is None
