"""Rules about fallback chains: each step is another way out, never a way back or down."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from harness.registry.finding import Severity
from harness.registry.rule import Hit, rule
from harness.registry.rules.targets import disabled_provider_of, model_of
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.models import Model
    from harness.registry.registry import Registry


@rule(
    "GW130",
    title="A chain names a route twice",
    why="The second attempt asks the server that has just failed, and pays its timeout again.",
    remedy="Remove the later one.",
    failing="model-mappings.yaml: "
    "{routes: {exact: {tiny: {chain: c}}}, fallback_chains: {c: [tiny, spare, tiny]}}",
    passing="model-mappings.yaml: "
    "{routes: {exact: {tiny: {chain: c}}}, fallback_chains: {c: [tiny, spare]}}",
)
def repeats(registry: Registry) -> Iterator[Hit]:
    """Names that stand in one chain more than once."""
    for chain, names in registry.fallback_chains.items():
        for index, name in enumerate(names):
            if name in names[:index]:
                message = f"{quoted(name)} falls back to itself."
                yield Hit(("fallback_chains", chain, index), message)


@rule(
    "GW131",
    title="Chains form a cycle",
    why="If a falls back to b and b to a, a gateway that follows both sends a request in "
    "circles until its depth limit, and each turn pays the timeouts again.",
    remedy="Put both names into one chain, in one order.",
    failing="""
providers.yaml: {providers: {spare: {models: [{name: tiny, served_as: tiny, context_length: 4096,
  capabilities: [chat], mode: chat, residency: always}]}}}
model-mappings.yaml:
  routes: {exact: {tiny: {chain: down}, spare: {chain: up}}}
  fallback_chains: {down: [tiny, spare], up: [spare, tiny]}
""",
    passing="""
model-mappings.yaml:
  routes: {exact: {tiny: {chain: down}, spare: {chain: down}}}
  fallback_chains: {down: [tiny, spare]}
""",
)
def cycle(registry: Registry) -> Iterator[Hit]:
    """Sets of routes each of which falls back, over one or more chains, to the others."""
    after = {
        name: [target for target in _chain_after(registry, name) if target != name]
        for name in registry.routes.exact
    }
    reported: set[str] = set()
    for name in after:
        loop = _loop(after, name)
        if loop and not reported.intersection(loop):
            reported.update(loop)
            message = f"The chains run in a circle: {' -> '.join([*loop, name])}."
            yield Hit(("routes", "exact", name, "chain"), message)


def _chain_after(registry: Registry, name: str) -> tuple[str, ...]:
    try:
        return registry.chain_after(name)
    except LookupError:  # GW105 reports it
        return ()


def _loop(after: dict[str, list[str]], start: str) -> list[str]:
    """The shortest way from ``start`` back to it, without the return; empty if there is none."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:  # grows while it is walked: breadth first
        for target in after.get(way[-1], ()):
            if target == start:
                return way
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []


@rule(
    "GW132",
    title="A route refers to a chain it is not in",
    why="The fallbacks of a route are the names after it in its chain; not being in it, the "
    "route has none.",
    remedy="Put the route into the chain at its place, or refer to another chain.",
    failing="""
providers.yaml: {providers: {local: {models: [
  {name: tiny, served_as: tiny, context_length: 4096, vram_gb: 6, capabilities: [chat],
   mode: chat, residency: always},
  {name: more, served_as: more, context_length: 4096, vram_gb: 6, capabilities: [chat],
   mode: chat, residency: manual}]}}}
model-mappings.yaml:
  routes: {exact: {tiny: {chain: c}, more: {provider: local, model: more, chain: c}}}
  fallback_chains: {c: [tiny, spare]}
""",
    passing="""
providers.yaml: {providers: {local: {models: [
  {name: tiny, served_as: tiny, context_length: 4096, vram_gb: 6, capabilities: [chat],
   mode: chat, residency: always},
  {name: more, served_as: more, context_length: 4096, vram_gb: 6, capabilities: [chat],
   mode: chat, residency: manual}]}}}
model-mappings.yaml:
  routes: {exact: {tiny: {chain: c}, more: {provider: local, model: more, chain: c}}}
  fallback_chains: {c: [tiny, more, spare]}
""",
)
def not_a_member(registry: Registry) -> Iterator[Hit]:
    """Exact routes that do not stand in their own chain."""
    for name, route in registry.routes.exact.items():
        names = registry.fallback_chains.get(route.chain or "")
        if names is not None and name not in names:
            message = f"{quoted(name)} is not in the chain {quoted(route.chain)}."
            yield Hit(("routes", "exact", name, "chain"), message)


@rule(
    "GW133",
    title="A chain passes through a disabled provider",
    why="The step can never answer, so the chain is shorter than it looks.",
    remedy="Enable the provider, or remove the step.",
    failing="""
providers.yaml: {providers: {spare: {status: disabled}}}
model-mappings.yaml:
  public_models: [tiny]
  routes: {exact: {tiny: {chain: c}}}
  fallback_chains: {c: [tiny, spare]}
""",
    passing="""
providers.yaml: {providers: {spare: {status: optional}}}
model-mappings.yaml:
  routes: {exact: {tiny: {chain: c}}}
  fallback_chains: {c: [tiny, spare]}
""",
)
def disabled_step(registry: Registry) -> Iterator[Hit]:
    """Steps whose provider is disabled."""
    for chain, names in registry.fallback_chains.items():
        for index, name in enumerate(names):
            provider = disabled_provider_of(registry, name)
            if provider is not None:
                message = f"The provider {quoted(provider)} of {quoted(name)} is disabled."
                yield Hit(("fallback_chains", chain, index), message)


def _steps(registry: Registry) -> Iterator[tuple[tuple[str | int, ...], str, Model, str, Model]]:
    """Each pair of neighbours in a chain, with the path of the second."""
    for chain, names in registry.fallback_chains.items():
        for index, (first, second) in enumerate(pairwise(names)):
            upper, lower = model_of(registry, first), model_of(registry, second)
            if upper is not None and lower is not None:
                yield ("fallback_chains", chain, index + 1), first, upper, second, lower


@rule(
    "GW134",
    severity=Severity.WARNING,
    title="The context length shrinks along a chain",
    why="A prompt that fitted the first model is refused by the second, just when the first is "
    "down: the fallback works in every test but the one that matters.",
    remedy="Order the chain by context length, or serve the later model with a longer one.",
    failing="model-mappings.yaml: "
    "{routes: {exact: {spare: {chain: c}}}, fallback_chains: {c: [spare, tiny]}}",
    passing="model-mappings.yaml: "
    "{routes: {exact: {tiny: {chain: c}}}, fallback_chains: {c: [tiny, spare]}}",
)
def shrinking_context(registry: Registry) -> Iterator[Hit]:
    """Steps to a model with a shorter context than the one before."""
    for path, first, upper, second, lower in _steps(registry):
        if lower.context_length < upper.context_length:
            message = (
                f"{quoted(second)} takes {lower.context_length} tokens, {quoted(first)} before it "
                f"{upper.context_length}."
            )
            yield Hit(path, message)


@rule(
    "GW135",
    title="A chain mixes endpoints",
    why="A chat request cannot be answered by an embedding model.",
    remedy="Keep one mode per chain.",
    failing="""
providers.yaml: {providers: {spare: {models: [{name: tiny, served_as: tiny, context_length: 8192,
  capabilities: [search], mode: embedding, residency: always}]}}}
model-mappings.yaml:
  routes: {exact: {tiny: {chain: c}}}
  fallback_chains: {c: [tiny, spare]}
""",
    passing="""
model-mappings.yaml:
  routes: {exact: {tiny: {chain: c}}}
  fallback_chains: {c: [tiny, spare]}
""",
)
def mixed_modes(registry: Registry) -> Iterator[Hit]:
    """Steps to a model that answers on another endpoint."""
    for path, first, upper, second, lower in _steps(registry):
        if lower.mode != upper.mode:
            message = (
                f"{quoted(second)} answers {lower.mode} requests, {quoted(first)} before it "
                f"{upper.mode} requests."
            )
            yield Hit(path, message)


@rule(
    "GW136",
    severity=Severity.WARNING,
    title="A chain is not used",
    why="No route refers to it, so the fallback it describes never happens.",
    remedy="Set chain: on the route at its head, or remove the chain.",
    failing="model-mappings.yaml: {fallback_chains: {c: [tiny, spare]}}",
    passing="model-mappings.yaml: "
    "{routes: {exact: {tiny: {chain: c}}}, fallback_chains: {c: [tiny, spare]}}",
)
def unused_chain(registry: Registry) -> Iterator[Hit]:
    """Chains no exact route refers to."""
    used = {route.chain for route in registry.routes.exact.values()}
    for chain in registry.fallback_chains:
        if chain not in used:
            message = f"No route refers to the chain {quoted(chain)}."
            yield Hit(("fallback_chains", chain), message, on_key=True)
