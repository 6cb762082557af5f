"""Rules about load-balanced groups: levels, weights and strategies mean what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.registry.finding import Severity
from harness.registry.rule import Hit, rule
from harness.registry.rules.targets import model_of
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.models import Model, Provider
    from harness.registry.registry import Registry
    from harness.registry.rule import Path


@rule(
    "GW125",
    title="Two load-balanced groups pick in different ways",
    why="The gateway has one strategy for all groups (LiteLLM: router_settings.routing_strategy), "
    "so one of the two would be picked from in the way of the other.",
    remedy="Give all groups one strategy, or run a second gateway.",
    failing="""
model-mappings.yaml: {load_balancing: {
  one: {strategy: weighted, members: [{route: tiny}, {route: spare}]},
  two: {strategy: least-busy, members: [{route: tiny}, {route: spare}]}}}
""",
    passing="""
model-mappings.yaml: {load_balancing: {
  one: {strategy: least-busy, members: [{route: tiny}, {route: spare}]},
  two: {strategy: least-busy, members: [{route: tiny}, {route: spare}]}}}
""",
)
def two_strategies(registry: Registry) -> Iterator[Hit]:
    """Groups whose strategy is not that of the first one."""
    first = next(iter(registry.load_balancing.items()), None)
    for group, balancer in registry.load_balancing.items():
        if first is not None and balancer.strategy != first[1].strategy:
            message = f"{quoted(first[0])} is {quoted(first[1].strategy)}."
            yield Hit(("load_balancing", group, "strategy"), message)


@rule(
    "GW126",
    severity=Severity.WARNING,
    title="A weight has no effect",
    why="Only the strategy weighted looks at weights; the others pick by load or by latency.",
    remedy="Remove the weight, or set the strategy to weighted.",
    failing="""
model-mappings.yaml: {load_balancing: {
  both: {strategy: least-busy, members: [{route: tiny, weight: 3}, {route: spare}]}}}
""",
    passing="""
model-mappings.yaml: {load_balancing: {
  both: {strategy: weighted, members: [{route: tiny, weight: 3}, {route: spare}]}}}
""",
)
def idle_weight(registry: Registry) -> Iterator[Hit]:
    """Weights other than 1 in a group that is not weighted."""
    for group, balancer in registry.load_balancing.items():
        for index, member in enumerate(balancer.members):
            if balancer.strategy != "weighted" and member.weight != 1:
                message = f"The strategy {quoted(balancer.strategy)} ignores weights."
                yield Hit(("load_balancing", group, "members", index, "weight"), message)


@rule(
    "GW127",
    severity=Severity.WARNING,
    title="A priority has no effect",
    why="Priority and failover_only put the members of a load-balanced group in order. A provider "
    "that is in no group is asked wherever a route or a chain names it.",
    remedy="Put its route into a load-balanced group, or remove the key.",
    failing="providers.yaml: {providers: {spare: {priority: 2}}}",
    passing="""
providers.yaml: {providers: {spare: {priority: 2}}}
model-mappings.yaml:
  load_balancing: {both: {strategy: weighted, members: [{route: tiny}, {route: spare}]}}
""",
)
def idle_priority(registry: Registry) -> Iterator[Hit]:
    """Providers with a priority, or failover-only, that no group holds."""
    grouped = {
        registry.route(member.route).provider
        for balancer in registry.load_balancing.values()
        for member in balancer.members
    }
    for name, provider in registry.enabled_providers().items():
        for key, is_set in (
            ("priority", provider.priority != 1),
            ("failover_only", provider.failover_only),
        ):
            if is_set and name not in grouped:
                message = f"The provider {quoted(name)} is in no load-balanced group."
                yield Hit(("providers", name, key), message, on_key=True)


@rule(
    "GW128",
    severity=Severity.WARNING,
    title="A failover-only provider is asked first",
    why="It is kept for the time when the others have failed, for its price or its distance. Here "
    "a name leads straight to it.",
    remedy="Put it behind others in a chain or a load-balanced group, or remove failover_only.",
    failing="""
providers.yaml: {providers: {spare: {failover_only: true}}}
model-mappings.yaml:
  public_models: [tiny, spare]
  load_balancing: {both: {strategy: weighted, members: [{route: tiny}, {route: spare}]}}
""",
    passing="""
providers.yaml: {providers: {spare: {failover_only: true}}}
model-mappings.yaml:
  public_models: [tiny, both]
  load_balancing: {both: {strategy: weighted, members: [{route: tiny}, {route: spare}]}}
""",
)
def reserve_first(registry: Registry) -> Iterator[Hit]:
    """Advertised names, aliases, heads of chains, first candidates and patterns on such a one."""
    for path, name in _heads(registry):
        provider = _provider_of(registry, name)
        if provider is not None and provider.enabled and provider.failover_only:
            owner = registry.route(name).provider
            yield Hit(path, f"The provider {quoted(owner)} of {quoted(name)} is failover-only.")


def _heads(registry: Registry) -> Iterator[tuple[Path, str]]:
    """Every exact name that is asked first by something, with the place of that."""
    aliases = registry.routes.aliases
    for index, name in enumerate(registry.public_models):
        if name not in aliases:
            yield ("public_models", index), name
    for alias, name in aliases.items():
        if name not in registry.public_models:  # which is reported there
            yield ("routes", "aliases", alias), name
    for index, pattern in enumerate(registry.routes.patterns):
        if pattern.route is not None:
            yield ("routes", "patterns", index, "route"), pattern.route
    for capability, targets in registry.capabilities.items():
        index, first = min(enumerate(targets), key=lambda target: target[1].priority)
        yield ("capabilities", capability, index, "route"), first.route
    for chain, names in registry.fallback_chains.items():
        yield ("fallback_chains", chain, 0), names[0]


def _provider_of(registry: Registry, name: str) -> Provider | None:
    route = registry.routes.exact.get(name)
    return registry.providers.get(route.provider) if route else None


@rule(
    "GW129",
    severity=Severity.WARNING,
    title="One level of a group spans two regions",
    why="Members of one level are picked at random, so every other request crosses from one region "
    "to the other although a nearer server is free.",
    remedy="Give the providers of one region a lower priority, or the members an order.",
    failing="""
providers.yaml: {providers: {local: {region: here}, spare: {region: there}}}
model-mappings.yaml:
  load_balancing: {both: {strategy: weighted, members: [{route: tiny}, {route: spare}]}}
""",
    passing="""
providers.yaml: {providers: {local: {region: here}, spare: {region: there, priority: 2}}}
model-mappings.yaml:
  load_balancing: {both: {strategy: weighted, members: [{route: tiny}, {route: spare}]}}
""",
)
def crosses_regions(registry: Registry) -> Iterator[Hit]:
    """Members in another region than an earlier one of their level."""
    for group, balancer in registry.load_balancing.items():
        first: dict[tuple[bool, int], str] = {}
        for index, member in enumerate(balancer.members):
            provider = _provider_of(registry, member.route)
            if provider is None or provider.region is None or not model_of(registry, member.route):
                continue
            other = first.setdefault(registry.level(member), provider.region)
            if other != provider.region:
                message = (
                    f"{quoted(member.route)} is in {quoted(provider.region)}, others of its level "
                    f"are in {quoted(other)}."
                )
                yield Hit(("load_balancing", group, "members", index, "route"), message)


@rule(
    "GW170",
    severity=Severity.WARNING,
    title="A load-balanced group mixes endpoints",
    why="Its members are picked at random, so some of the chat requests reach an embedding model, "
    "which refuses them.",
    remedy="Keep one mode per group.",
    failing="""
providers.yaml: {providers: {spare: {models: [{name: tiny, served_as: tiny, context_length: 4096,
  capabilities: [chat], mode: embedding, residency: always}]}}}
model-mappings.yaml:
  load_balancing: {both: {strategy: weighted, members: [{route: tiny}, {route: spare}]}}
""",
    passing="""
model-mappings.yaml:
  load_balancing: {both: {strategy: weighted, members: [{route: tiny}, {route: spare}]}}
""",
)
def mixed_group(registry: Registry) -> Iterator[Hit]:
    """Members that answer on another endpoint than the first one of their group."""
    for group, balancer in registry.load_balancing.items():
        first = ""
        for index, member in enumerate(balancer.members):
            model = model_of(registry, member.route)
            if model is None:
                continue
            first = first or model.mode
            if model.mode != first:
                message = f"{quoted(member.route)} answers {model.mode} requests, others {first}."
                yield Hit(("load_balancing", group, "members", index, "route"), message)


@rule(
    "GW171",
    severity=Severity.WARNING,
    title="Members of one level differ in what they can do",
    why="They are picked at random, so a request with tools or an image succeeds or fails by "
    "chance: the fault nobody can reproduce. Context lengths may differ, as the gateway leaves out "
    "the members for which a prompt is too long.",
    remedy="Give the models one set of capabilities, if they have it, or put the lesser one on a "
    "later level (order, or priority of its provider).",
    failing="""
providers.yaml: {providers: {spare: {models: [{name: tiny, served_as: tiny, context_length: 4096,
  capabilities: [chat, tools], mode: chat, residency: always}]}}}
model-mappings.yaml:
  load_balancing: {both: {strategy: weighted, members: [{route: tiny}, {route: spare}]}}
""",
    passing="""
providers.yaml: {providers: {spare: {models: [{name: tiny, served_as: tiny, context_length: 4096,
  capabilities: [chat, tools], mode: chat, residency: always}]}}}
model-mappings.yaml:
  load_balancing: {both: {strategy: weighted, members: [{route: spare, order: 1},
    {route: tiny, order: 2}]}}
""",
)
def unequal_members(registry: Registry) -> Iterator[Hit]:
    """Members with other capabilities than the first of their level."""
    for group, balancer in registry.load_balancing.items():
        first: dict[tuple[bool, int], tuple[str, Model]] = {}
        for index, member in enumerate(balancer.members):
            model = model_of(registry, member.route)
            if model is None:
                continue
            other, best = first.setdefault(registry.level(member), (member.route, model))
            odd = sorted({*model.capabilities} ^ {*best.capabilities})
            if odd and model.mode == best.mode:
                message = f"{quoted(other)} and {quoted(member.route)} differ in {', '.join(odd)}."
                yield Hit(("load_balancing", group, "members", index, "route"), message)
