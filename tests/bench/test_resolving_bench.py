"""What it costs to resolve a name in a table of 10,000, beside LiteLLM's own Router.

Both hold the same table: ours the registry, the Router the configuration compiled from it, in
its own interpreter. Nothing is asserted on time; read ``litellm_over_ours`` in the extra info.
The first resolution of a name decides it, a later one remembers; both are measured.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import strategies
from harness.gateway import environment
from harness.gateway.litellm_config import compile_config
from harness.registry.load import MAPPINGS, PORTS, PROVIDERS
from harness.routing import Route, resolve

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from harness.registry import Registry

ORACLE = Path(__file__).parents[1] / "integration" / "router_oracle.py"
PROVIDER_COUNT = 10
MODELS_EACH = 1000
SAMPLE = 200
ROUNDS = 20


def table() -> strategies.System:
    """Providers with their models, and an exact route to each model."""
    providers, services, exact = {}, {}, {}
    for number in range(PROVIDER_COUNT):
        key = f"p{number}"
        services[key] = {"port": 9000 + number, "protocol": "http", "owner": key}
        models = [f"{key}-model-{each}" for each in range(MODELS_EACH)]
        exact |= {name: {"provider": key, "model": name} for name in models}
        providers[key] = {
            "type": "ollama",
            "port": key,
            "status": "active",
            "health": {"path": "/", "timeout_s": 2},
            "models": [
                {
                    "name": name,
                    "served_as": name,
                    "context_length": 4096,
                    "capabilities": ["chat"],
                    "mode": "chat",
                    "residency": "on_demand",
                }
                for name in models
            ],
        }
    mappings: dict[str, Any] = {
        "public_models": ["p0-model-0"],
        "routes": {"exact": exact, "patterns": [{"match": "open-*", "route": "p0-model-0"}]},
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
            "health": {"path": "/", "timeout_s": 2},
        },
    }
    services["gateway"] = {"port": 4000, "protocol": "http", "owner": "gateway"}
    return {
        PROVIDERS: {"providers": providers},
        MAPPINGS: mappings,
        PORTS: {"host": "127.0.0.1", "services": services},
    }


@pytest.fixture(scope="module")
def registry() -> Registry:
    return strategies.registry_of(table())


@pytest.fixture(scope="module")
def litellm(registry: Registry) -> dict[str, float]:
    """Seconds LiteLLM's Router takes for one look-up, by kind of name."""
    environment.install()
    config = compile_config(registry)
    names = {"exact": "p5-model-500", "pattern": "open-anything"}
    line = {
        "model_list": config["model_list"],
        "router_settings": {**config["router_settings"], "disable_cooldowns": True},
        "ask": [{"name": name, "times": SAMPLE, "seconds": True} for name in names.values()],
    }
    done = subprocess.run(
        [environment.location() / "bin" / "python", ORACLE],
        input=json.dumps(line) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(names, json.loads(done.stdout)["answers"], strict=True))


def measure(
    benchmark: BenchmarkFixture, registry: Registry, names: list[str], router_seconds: float
) -> None:
    forgetful = replace(registry)  # it remembers no answer
    resolve(forgetful, names[0])  # its indexes are made
    started = time.perf_counter()
    for name in names[1:]:
        resolve(forgetful, name)
    first = (time.perf_counter() - started) / (len(names) - 1)
    coming = cycle(names)

    def once() -> None:
        for _ in range(len(names)):
            resolve(registry, next(coming))

    benchmark.pedantic(once, rounds=ROUNDS, warmup_rounds=1)
    assert isinstance(resolve(registry, names[0]), Route)
    benchmark.extra_info["names"] = len(names)
    benchmark.extra_info["ours_first_us"] = round(first * 1e6, 1)
    benchmark.extra_info["litellm_us"] = round(router_seconds * 1e6, 1)
    if benchmark.stats is not None:  # None where benchmarks are switched off
        ours = benchmark.stats.stats.median / len(names)
        benchmark.extra_info["ours_us"] = round(ours * 1e6, 2)
        benchmark.extra_info["litellm_over_ours"] = round(router_seconds / ours)
        benchmark.extra_info["litellm_over_ours_first"] = round(router_seconds / first)


@pytest.mark.benchmark(group="resolve a name among 10,000")
def test_exact_name(
    benchmark: BenchmarkFixture, registry: Registry, litellm: dict[str, float]
) -> None:
    measure(benchmark, registry, list(registry.routes.exact)[::50], litellm["exact"])


@pytest.mark.benchmark(group="resolve a name among 10,000")
def test_open_pattern(
    benchmark: BenchmarkFixture, registry: Registry, litellm: dict[str, float]
) -> None:
    names = [f"open-{number}" for number in range(SAMPLE)]
    measure(benchmark, registry, names, litellm["pattern"])
