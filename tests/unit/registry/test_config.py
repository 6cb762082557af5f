"""The shipped sources: they load, and say what the described system says."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.registry import Registry, check, examine, load
from harness.registry.load import SOURCES

CONFIG = Path(__file__).parents[3] / "config"


@pytest.fixture(scope="module")
def shipped() -> Registry:
    return load(CONFIG)


def changed(name: str, old: str, new: str) -> list[tuple[str, int]]:
    files = {source: (CONFIG / source).read_text() for source in SOURCES}
    assert files[name].count(old) == 1, f"{old!r} must stand once in {name}"
    files[name] = files[name].replace(old, new)
    findings = examine({source: text.encode() for source, text in files.items()})[1]
    return [(finding.rule, finding.line) for finding in findings]


def line(name: str, text: str) -> int:
    lines = (CONFIG / name).read_text().splitlines()
    (found,) = [number for number, each in enumerate(lines, start=1) if text in each]
    return found


def test_no_finding_not_even_a_warning() -> None:
    assert check(CONFIG) == []


def test_every_service_has_the_port_of_the_source_documents(shipped: Registry) -> None:
    assert {name: service.port for name, service in shipped.ports.services.items()} == {
        "gateway": 4000,
        "ollama": 11434,
        "vllm": 8001,
        "llama-cpp-python": 8000,
        "llama-cpp-native": 8080,
        "redis": 6379,
        "prometheus": 9090,
        "grafana": 3000,
        "web-ui": 5001,
    }


def test_ollama_holds_the_seven_models_of_the_diagnostic_report(shipped: Registry) -> None:
    assert {model.name: model.size_gb for model in shipped.provider("ollama").models} == {
        "mythomax-l2-13b-q5_k_m": 9.2,
        "mythomax-l2-13b-q4_k_m": 7.9,
        "llava:13b": 8.0,
        "qwen2-math:7b": 4.4,
        "deepseek-coder-v2:16b": 8.9,
        "qwen2.5-coder:7b": 4.7,
        "llama3.1:latest": 4.9,
    }


def test_the_five_public_models_are_exact_routes(shipped: Registry) -> None:
    assert shipped.public_models == (
        "llama3.1:latest",
        "qwen2.5-coder:7b",
        "qwen-coder-vllm",
        "dolphin-uncensored-vllm",
        "mythomax-l2-13b-q5_k_m",
    )
    assert set(shipped.public_models) <= set(shipped.routes.exact)


def test_the_coder_chain_goes_vllm_llama_cpp_ollama(shipped: Registry) -> None:
    names = ("qwen-coder-vllm", *shipped.chain_after("qwen-coder-vllm"))
    routes = [shipped.route(name) for name in names]
    assert [shipped.provider(route.provider).type for route in routes] == [
        "vllm",
        "llama_cpp_native",
        "ollama",
    ]
    lengths = [shipped.model(route.provider, route.model).context_length for route in routes]
    assert lengths == [4096, 8192, 32768]


def test_vllm_serves_qwen_as_workspace_coder(shipped: Registry) -> None:
    route = shipped.route("qwen-coder-vllm")
    assert shipped.model(route.provider, route.model).served_as == "workspace-coder"


def test_openai_is_known_with_its_limits_and_never_asked(shipped: Registry) -> None:
    openai = shipped.provider("openai")
    assert openai.rate_limits is not None
    assert (openai.rate_limits.rpm, openai.rate_limits.tpm) == (500, 150_000)
    assert openai.api_key is not None
    assert openai.api_key.env == "OPENAI_API_KEY"
    assert "openai" not in shipped.enabled_providers()
    assert shipped.base_url("openai").startswith("https://")


def test_the_resilience_values_are_the_measured_ones(shipped: Registry) -> None:
    assert shipped.resilience.model_dump() == {
        "timeout_s": 30,
        "stream_timeout_s": 10,
        "retries": 0,
        "allowed_fails": 1,
        "cooldown_s": 3,
    }


def test_dolphin_beside_qwen_does_not_fit() -> None:
    place = line("providers.yaml", "specialty: unfiltered chat") - 1
    old = "residency: manual\n        specialty: unfiltered chat"
    assert changed("providers.yaml", old, old.replace("manual", "always")) == [("GW150", place)]


@pytest.mark.parametrize(
    ("name", "old", "new", "rule"),
    [
        ("model-mappings.yaml", "model: Qwen2.5-Coder-7B-Instruct-AWQ", "model: Qwen2.5", "GW102"),
        ("model-mappings.yaml", "llama3.1:8b: llama3.1:latest", "llama3.1:8b: llama3.1", "GW103"),
        ("model-mappings.yaml", "coder: [qwen-coder-vllm, llama-cpp-llama3.1, qwen2.5-coder:7b]",
         "coder: [qwen-coder-vllm, qwen2.5-coder:7b, llama-cpp-llama3.1]", "GW134"),
        ("model-mappings.yaml", "http://localhost:3000", "'*'", "GW145"),
        ("model-mappings.yaml", "retries: 0", "retries: 2", "GW124"),
        ("ports.yaml", "port: 5001", "port: 8000", "GW140"),
        ("ports.yaml", "host: 127.0.0.1", "host: 0.0.0.0", "GW141"),
        ("providers.yaml", "served_as: workspace-dolphin", "served_as: workspace-coder", "GW112"),
        ("providers.yaml", "api_key: {env: OPENAI_API_KEY}", "api_key: ${OPENAI_API_KEY}", "GW022"),
    ],
)  # fmt: skip
def test_a_planted_mistake_is_found_at_its_line(name: str, old: str, new: str, rule: str) -> None:
    assert changed(name, old, new) == [(rule, line(name, old))]
