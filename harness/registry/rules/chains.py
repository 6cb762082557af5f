"""Rules about fallback chains: each step is another way out, never a way back or down."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from harness.registry.finding import Severity
from harness.registry.rule import Hit, rule
from harness.registry.rules.targets import disabled_provider_of, model_of
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.registry.models import Model
    from harness.registry.registry import Registry
    from harness.registry.rule import Path

CHAIN_FIELDS = ("chain", "context_window_chain", "content_policy_chain")
"""The fields of a route that refer to a chain."""
MAX_SUSPECTS = 200
"""So many names are followed in search of a circle; to follow all would not be linear."""

Node = str | tuple[str, int]
"""A name, or a place in a chain."""
Step = tuple["Path", str, "Model", str, "Model"]
"""A name with its model, the one tried after it with its model, and the path of the latter."""


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
    """Names that stand in one chain more than once, or behind a group and in it."""
    for path, names, before in _lists(registry):
        seen = set(before)
        for index, name in enumerate(names):
            if name in seen:
                message = f"{quoted(name)} falls back to itself."
                yield Hit((*path, index), message)
            seen.add(name)


def _lists(registry: Registry) -> Iterator[tuple[Path, Sequence[str], Sequence[str]]]:
    """Every list of names that are tried in order: its path, it, and what is tried before it."""
    for chain, names in registry.fallback_chains.items():
        yield ("fallback_chains", chain), names, ()
    for group, balancer in registry.load_balancing.items():
        members = [member.route for member in balancer.members]
        yield ("load_balancing", group, "fallbacks"), balancer.fallbacks, members


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
    for field in CHAIN_FIELDS:
        reported: set[str] = set()
        for name in islice(_suspects(registry, field), MAX_SUSPECTS):
            loop = [] if name in reported else _loop(registry, field, name)
            if loop and not reported.intersection(loop):
                reported.update(loop)
                message = f"The chains run in a circle: {' -> '.join([*loop, name])}."
                yield Hit(("routes", "exact", name, field), message)


def _suspects(registry: Registry, field: str) -> Iterator[str]:
    """Names that may be in a circle: those left once all dead ends have been taken away.

    Nodes are names and the places of chains; a name leads to the place after it, a place to its
    name and to the next place. That is linear, where the fallbacks of every name are not.
    """
    exact = registry.routes.exact
    before: dict[Node, list[Node]] = {}
    ways: Counter[Node] = Counter()

    def edge(start: Node, end: Node) -> None:
        ways[start] += 1
        before.setdefault(end, []).append(start)

    for chain, names in registry.fallback_chains.items():
        for index, name in enumerate(names):
            edge((chain, index), name)
            if index + 1 < len(names):
                edge((chain, index), (chain, index + 1))
                if name in exact and getattr(exact[name], field) == chain:
                    edge(name, (chain, index + 1))
    ends = [name for name in before if name not in ways]
    while ends:
        for start in before.get(ends.pop(), ()):
            ways[start] -= 1
            if ways[start] == 0:
                ends.append(start)
    return (name for name in exact if ways[name] > 0)


def _loop(registry: Registry, field: str, start: str) -> list[str]:
    """The shortest way from ``start`` back to it, without the return; empty if there is none."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:  # grows while it is walked: breadth first
        for target in _after(registry, field, way[-1]):
            if target == start:
                return way
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []


def _after(registry: Registry, field: str, name: str) -> list[str]:
    """What one kind of chain tries after ``name``, itself left out: GW130 reports that."""
    route = registry.routes.exact.get(name)
    chain = registry.fallback_chains.get(route.chains.get(field, "") if route else "", ())
    after = chain[chain.index(name) + 1 :] if name in chain else ()
    return [target for target in after if target != name]


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
  routes: {exact: {tiny: {chain: c}, more: {provider: local, model: more}}}
  fallback_chains: {c: [tiny, spare]}
""",
)
def not_a_member(registry: Registry) -> Iterator[Hit]:
    """Exact routes that do not stand in their own chain."""
    members = {chain: frozenset(names) for chain, names in registry.fallback_chains.items()}
    for name, route in registry.routes.exact.items():
        for field, chain in route.chains.items():
            if chain in members and name not in members[chain]:
                message = f"{quoted(name)} is not in the chain {quoted(chain)}."
                yield Hit(("routes", "exact", name, field), message)


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
    for path, names, _ in _lists(registry):
        for index, name in enumerate(names):
            provider = disabled_provider_of(registry, name)
            if provider is not None:
                message = f"The provider {quoted(provider)} of {quoted(name)} is disabled."
                yield Hit((*path, index), message)


def steps(registry: Registry) -> Iterator[Step]:
    """Each pair of neighbours in a chain."""
    for chain, names in registry.fallback_chains.items():
        for index, (first, second) in enumerate(pairwise(names)):
            upper, lower = model_of(registry, first), model_of(registry, second)
            if upper is not None and lower is not None:
                yield ("fallback_chains", chain, index + 1), first, upper, second, lower


def steps_behind_groups(registry: Registry) -> Iterator[Step]:
    """The same of the fallbacks of each group: the first one comes after each of its members."""
    for group, balancer in registry.load_balancing.items():
        members = [member.route for member in balancer.members]
        before = [name for name in members if disabled_provider_of(registry, name) is None]
        for index, second in enumerate(balancer.fallbacks):
            lower = model_of(registry, second)
            for first in before:
                upper = model_of(registry, first)
                if upper is not None and lower is not None:
                    yield ("load_balancing", group, "fallbacks", index), first, upper, second, lower
            before = [second]


def _all_steps(registry: Registry) -> Iterator[Step]:
    yield from steps(registry)
    yield from steps_behind_groups(registry)


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
    """Steps to a model with a shorter context than the one before, each once."""
    reported: set[Path] = set()
    for path, first, upper, second, lower in _all_steps(registry):
        if lower.context_length < upper.context_length and path not in reported:
            reported.add(path)
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
    """Steps to a model that answers on another endpoint; of a group the first member counts."""
    seen: set[Path] = set()
    for path, first, upper, second, lower in _all_steps(registry):
        if lower.mode != upper.mode and path not in seen:
            message = (
                f"{quoted(second)} answers {lower.mode} requests, {quoted(first)} before it "
                f"{upper.mode} requests."
            )
            yield Hit(path, message)
        seen.add(path)


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
    used = {chain for route in registry.routes.exact.values() for chain in route.chains.values()}
    for chain in registry.fallback_chains:
        if chain not in used:
            message = f"No route refers to the chain {quoted(chain)}."
            yield Hit(("fallback_chains", chain), message, on_key=True)
