"""A first policy, from the sources: what a run over them can prove, each proof required."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.registry.writing import document
from harness.routing import Route, listed, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.registry import Registry
    from harness.registry.writing import Node

HEADER = """First draft, made from the sources beside it. From now on this is the policy.
Each gate is a row of the verdict table: the evidence named must exist, and none of it may fail.
The counts are what these sources can prove; raise them as the sources grow."""
LIMITS = """A limit is the largest acceptable value; the first one whose globs match holds.
An emulated engine keeps its pace, so these bind the gateway. Write yours for real engines."""
_OWNER = "whoever runs the gateway"
_OTHER_DIALECTS = frozenset({"anthropic"})
"""Types of providers whose own API is not the OpenAI one; the gateway translates for them."""
_WITH_METRICS = frozenset({"vllm", "llama_cpp_native"})
_CHECKS = 10
"""Checks of the contract that every server answers, whatever it lacks."""


def draft_policy(registry: Registry) -> str:
    """The text of a ``gates.yaml`` that asks of a run all that it can prove of these sources.

    A promise that the sources do not make (a fallback, a balanced group, metrics, a health path)
    gets no row, as its evidence could never exist.
    """
    gates: list[Node] = [
        {"id": id_, "title": title, "owner": _OWNER, "evidence": needs}
        for id_, title, needs in _rows(registry)
        if needs
    ]
    limits: list[Node] = [
        {"check": check, "max": most, "unit": "ms", "phase": phase}
        for check, most, phase in (
            ("latency.ttft.p50", 300, "TTFT"),
            ("latency.ttft.p95", 500, "TTFT"),
            ("latency.itl.p50", 60, "ITL"),
            ("latency.e2e.p50", 3000, "E2E"),
            ("latency.gateway-overhead.p50", 100, "TTFT"),
            ("fallback.latency", 500, "E2E"),
        )
    ]
    return document({"gates": gates, "limits": limits}, header=f"{HEADER}\n\n{LIMITS}")


def _rows(registry: Registry) -> Iterator[tuple[str, str, Sequence[Node]]]:
    """Id, title and requirements of every row, also of those that ask for nothing."""
    yield "config.valid", "Source configuration is valid", [_need("config.schema", 3)]
    yield "config.drift", "Generated config equals its sources", [_need("config.drift")]
    yield "config.secrets", "No secret stands in a file", [_need("config.secrets")]
    doors = [
        _need("gateway.auth", 3),
        _need("gateway.cors", len(registry.gateway.cors_origins) + 1),
        _need("gateway.loopback"),
    ]
    doors += [_need("gateway.metrics")] if registry.gateway.metrics else []
    yield "gateway.security", "The gateway keeps its doors shut", doors
    yield "routes", "Every name reaches its deployment", list(_routes(registry))
    yield "live", "Running servers are what the sources say", list(_live(registry))
    providers = registry.enabled_providers()
    kinds = {provider.type for provider in providers.values()}
    scraped = (
        [_need("monitoring.scrape", tiers=("native", "full"))] if kinds & _WITH_METRICS else []
    )
    yield "monitoring", "Everybody's metrics are read", scraped
    for name, provider in providers.items():
        if provider.type not in _OTHER_DIALECTS:
            needs = [_need("contract.*", _CHECKS, subject=name)]
            yield f"contract.{name}", f"{name} keeps the OpenAI contract", needs
    through = [_need("contract.*", _CHECKS, subject="gateway:*")]
    yield "contract.gateway", "The gateway keeps the OpenAI contract", through
    yield "fallback", "A chain answers while any of it lives", list(_fallback(registry))
    yield "latency", "Latency stays within its limits", [*_latency()]
    # Asked for nothing where the ledger is empty: a requirement cannot say "as many as there are".
    yield "deviations", "The recorded deviations are current", [_need("deviation.*")]


def _routes(registry: Registry) -> Iterator[Node]:
    yield _need("route.answered-by", len(listed(registry)))
    yield _need("route.refused")
    yield _need("route.models-list")
    found = [resolve(registry, name) for name in registry.load_balancing]
    shared = sum(isinstance(r, Route) and len(r.tiers[0].deployments) > 1 for r in found)
    if shared:
        yield _need("route.balance", shared)


def _live(registry: Registry) -> Iterator[Node]:
    asked = registry.enabled_providers().values()
    served = sum(len({model.served_as for model in provider.models}) for provider in asked)
    yield _need("live.served", served, may_be_not_run=True)
    # A model that is loaded by hand cannot be asked, so its server's health is not judged by it.
    health = sum(
        provider.health is not None
        and any(model.residency != "manual" for model in provider.models)
        for provider in asked
    )
    if health:
        yield _need("live.health", health)
    yield _need("live.catalogue", subject="gateway")


def _fallback(registry: Registry) -> Iterator[Node]:
    """Every subset of the providers of the longest chain is killed once, and of such a group."""
    groups = [name for name, group in registry.load_balancing.items() if group.fallbacks]
    cells = 0
    for names in (registry.routes.exact, groups):
        found = [resolve(registry, name) for name in names]
        chains = [route for route in found if isinstance(route, Route) and len(route.tiers) > 1]
        if chains:
            longest = max(chains, key=lambda route: len(route.tiers))
            cells += 2 ** len(longest.providers)
    if cells:
        yield _need("fallback.kill-matrix", cells, subject="* [[]down: *]")
        yield _need("fallback.latency", cells, subject="* [[]down: *]")
        yield _need("fallback.recovery", subject="* [[]revived: *]")


def _latency() -> Iterator[Node]:
    for check in ("ttft.p50", "ttft.p95", "itl.p50", "e2e.p50"):
        yield _need(f"latency.{check}", subject="gateway:*")
    yield _need("latency.gateway-overhead.p50")
    yield _need("latency.*", 5)


def _need(
    check: str,
    at_least: int = 1,
    *,
    subject: str = "*",
    tiers: tuple[str, ...] = (),
    may_be_not_run: bool = False,
) -> Mapping[str, Node]:
    need: dict[str, Node] = {"check": check, "subject": subject, "at_least": at_least}
    if tiers:
        need["tiers"] = tiers
    if may_be_not_run:
        need["may_be_not_run"] = True
    return need
