"""What it costs to resolve a name in a table of 10,000, beside a dict and LiteLLM's own Router.

All hold the same table: ours the registry, the dict its exact names, the Router the configuration
compiled from it, in its own interpreter, where it finds a deployment for a request, and, which is
less, lists those of the group. A first resolution decides and makes a route whose tiers are there
to read, a later one remembers; both are measured, and the tables built before the first apart.
Nothing is asserted on time: the figures are in the extra info, in microseconds and as ratios.
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
SAMPLE = 100
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
def litellm(registry: Registry) -> dict[str, dict[str, float]]:
    """Seconds LiteLLM's Router takes for one look-up, by kind of name and step."""
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


def first_time(registry: Registry, names: list[str]) -> tuple[float, float]:
    """Seconds to build the tables, and then for each name, nothing remembered: the best of 5."""
    built, each = [], []
    for _ in range(5):
        forgetful = replace(registry)  # it remembers no answer
        started = time.perf_counter()
        resolve(forgetful, names[0])
        built.append(time.perf_counter() - started)
        started = time.perf_counter()
        for name in names[1:]:
            resolve(forgetful, name)
        each.append((time.perf_counter() - started) / (len(names) - 1))
    return min(built), min(each)


def in_a_dict(registry: Registry, names: list[str]) -> float:
    """Seconds a look-up of the same names takes in a plain dict."""
    table = dict(registry.routes.exact)
    started = time.perf_counter()
    for _ in range(ROUNDS):
        for name in names:
            table.get(name)
    return (time.perf_counter() - started) / ROUNDS / len(names)


def measure(
    benchmark: BenchmarkFixture, registry: Registry, names: list[str], router: dict[str, float]
) -> None:
    built, first = first_time(registry, names)
    coming = cycle(names)

    def once() -> None:
        for _ in range(len(names)):
            resolve(registry, next(coming))

    benchmark.pedantic(once, rounds=ROUNDS, warmup_rounds=1)
    assert isinstance(resolve(registry, names[0]), Route)
    info = benchmark.extra_info
    info["names"] = len(names)
    info["tables_ms"] = round(built * 1e3, 1)
    info["ours_first_us"] = round(first * 1e6, 2)
    info["dict_us"] = round(in_a_dict(registry, names) * 1e6, 3)
    info["litellm_us"] = round(router["find"] * 1e6, 1)
    info["litellm_list_us"] = round(router["list"] * 1e6, 1)
    info["litellm_over_ours_first"] = round(router["find"] / first, 1)
    info["litellm_list_over_ours_first"] = round(router["list"] / first, 1)
    if benchmark.stats is not None:  # None where benchmarks are switched off
        ours = benchmark.stats.stats.median / len(names)
        info["ours_us"] = round(ours * 1e6, 2)
        info["litellm_over_ours"] = round(router["find"] / ours, 1)


@pytest.mark.benchmark(group="resolve a name among 10,000")
def test_exact_name(
    benchmark: BenchmarkFixture, registry: Registry, litellm: dict[str, dict[str, float]]
) -> None:
    measure(benchmark, registry, list(registry.routes.exact), litellm["exact"])


@pytest.mark.benchmark(group="resolve a name among 10,000")
def test_open_pattern(
    benchmark: BenchmarkFixture, registry: Registry, litellm: dict[str, dict[str, float]]
) -> None:
    names = [f"open-{number}" for number in range(SAMPLE)]  # of these no answer is remembered
    measure(benchmark, registry, names, litellm["pattern"])
