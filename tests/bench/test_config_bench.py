"""What it costs to validate, lint, generate and resolve: 1,000 models beside 10,000.

Sources are made of providers with 25 models each, every model with an exact name, every tenth
name an alias as well, every fourth in a chain of three. Nothing is asserted on time: read
``growth_exponent`` (seconds grow as models to this power: 1 is linear), ``over_safe_load`` (what
reading, placing and checking cost beside ``yaml.safe_load`` of the same bytes) and the table.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.gateway.litellm_config import CONFIG_FILE, compile_files
from harness.registry import Registry, check, examine, load
from harness.routing import Refusal, Route, resolve

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

SIZES = (1_000, 10_000)
MODELS_EACH = 25

seconds: dict[str, float] = {}


def large(models: int) -> dict[str, bytes]:
    """Sources with so many models, valid and without a warning."""
    services: dict[str, Any] = {"gateway": {"port": 4000, "protocol": "http", "owner": "gateway"}}
    providers: dict[str, Any] = {}
    exact: dict[str, Any] = {}
    aliases: dict[str, str] = {}
    chains: dict[str, list[str]] = {}
    for number in range(models):
        turn = number % (models // MODELS_EACH)  # so that a chain changes the provider
        provider = f"p{turn}"
        if number == turn:
            services[provider] = {
                "port": 5000 + turn,
                "protocol": "http",
                "owner": provider,
            }
            providers[provider] = {
                "type": "ollama",
                "port": provider,
                "status": "active",
                "health": {"path": "/api/tags", "timeout_s": 2},
                "models": [],
            }
        name = f"model-{number}"
        providers[provider]["models"].append(
            {
                "name": name,
                "served_as": f"org/{name}",
                "context_length": 8192,
                "capabilities": ["chat", "tools"],
                "mode": "chat",
                "residency": "on_demand",
            }
        )
        exact[name] = {"provider": provider, "model": name}
        if number % 10 == 0:
            aliases[f"alias-{number}"] = name
        if number % 4 == 3:
            chain = f"c{number}"
            exact[f"model-{number - 2}"]["chain"] = chain
            chains[chain] = [f"model-{n}" for n in (number - 2, number - 1, number)]
    mappings = {
        "public_models": ["model-0"],
        "routes": {"exact": exact, "aliases": aliases},
        "fallback_chains": chains,
        "resilience": {
            "timeout_s": 30,
            "stream_timeout_s": 10,
            "retries": 0,
            "allowed_fails": 1,
            "cooldown_s": 3,
        },
        "gateway": {
            "port": "gateway",
            "cors_origins": [],
            "master_key": {"env": "GATEWAY_KEY"},
            "metrics": False,
            "health": {"path": "/health/readiness", "timeout_s": 2},
        },
    }
    files = {
        "providers.yaml": {"providers": providers},
        "model-mappings.yaml": mappings,
        "ports.yaml": {"host": "127.0.0.1", "services": services},
    }
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return {
        name: yaml.dump(value, Dumper=dumper, sort_keys=False).encode()
        for name, value in files.items()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A folder of sources for each size."""
    folders = {}
    for size in SIZES:
        folders[size] = tmp_path_factory.mktemp(f"models{size}")
        for name, content in large(size).items():
            (folders[size] / name).write_bytes(content)
    return folders


def registry_of(folder: Path) -> Registry:
    return load(folder)


def note(benchmark: BenchmarkFixture, what: str, size: int) -> None:
    """Keep the best round, and say how it compares once both sides are known."""
    if benchmark.stats is None:  # benchmarks are switched off
        return
    seconds[f"{what} {size}"] = benchmark.stats.stats.min
    small, large_ = (seconds.get(f"{what} {each}") for each in SIZES)
    if small and large_:
        exponent = math.log(large_ / small) / math.log(SIZES[1] / SIZES[0])
        benchmark.extra_info["growth_exponent"] = round(exponent, 2)
    ours, theirs = seconds.get(f"read {size}"), seconds.get(f"safe_load {size}")
    if ours and theirs:
        benchmark.extra_info["over_safe_load"] = round(ours / theirs, 2)


@pytest.mark.benchmark(group="validate + lint + generate")
@pytest.mark.parametrize("size", SIZES)
def test_validate_lint_generate(
    benchmark: BenchmarkFixture, written: dict[int, Path], size: int
) -> None:
    def job() -> str:
        assert check(written[size]) == []
        return compile_files(load(written[size]))[CONFIG_FILE]

    text = benchmark.pedantic(job, rounds=3)
    assert text.count("model_name") == size
    note(benchmark, "job", size)


@pytest.mark.benchmark(group="read the sources")
@pytest.mark.parametrize("size", SIZES)
def test_read_place_and_check(
    benchmark: BenchmarkFixture, written: dict[int, Path], size: int
) -> None:
    contents = {path.name: path.read_bytes() for path in written[size].iterdir()}
    registry, findings = benchmark.pedantic(lambda: examine(contents), rounds=3)
    assert registry is not None
    assert findings == []
    note(benchmark, "read", size)


@pytest.mark.benchmark(group="read the sources")
@pytest.mark.parametrize("size", SIZES)
def test_yaml_safe_load(benchmark: BenchmarkFixture, written: dict[int, Path], size: int) -> None:
    contents = [path.read_bytes() for path in written[size].iterdir()]
    benchmark.pedantic(lambda: [yaml.safe_load(content) for content in contents], rounds=3)
    note(benchmark, "safe_load", size)


@pytest.mark.benchmark(group="resolve one name of 10,000")
def test_resolve_an_exact_name_for_the_first_time(
    benchmark: BenchmarkFixture, written: dict[int, Path]
) -> None:
    names = iter([f"model-{number}" for number in range(10_000)] * 2)
    registries = [load(written[10_000])]
    resolve(registries[0], "alias-0")  # builds the indexes
    found = benchmark.pedantic(lambda: resolve(registries[0], next(names)), rounds=9_000)
    assert isinstance(found, Route)


@pytest.mark.benchmark(group="resolve one name of 10,000")
def test_resolve_an_exact_name_again(benchmark: BenchmarkFixture, written: dict[int, Path]) -> None:
    registry = load(written[10_000])
    found = benchmark(lambda: resolve(registry, "model-5000"))
    assert isinstance(found, Route)


@pytest.mark.benchmark(group="resolve one name of 10,000")
def test_refuse_an_unknown_name(benchmark: BenchmarkFixture, written: dict[int, Path]) -> None:
    registry = load(written[10_000])
    found = benchmark(lambda: resolve(registry, "modle-5000"))
    assert isinstance(found, Refusal)
