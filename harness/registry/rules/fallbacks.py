"""Rules about fallbacks: they come in time, and can still do what was asked."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from harness.registry.finding import Severity
from harness.registry.rule import Hit, rule
from harness.registry.rules.chains import steps, steps_behind_groups
from harness.registry.rules.targets import model_of
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.registry import Registry


@rule(
    "GW137",
    title="A context-window chain does not lead to a longer context",
    why="It is tried because a prompt was too long for the model before. A model that takes no "
    "more refuses it again, and the client waits for both refusals.",
    remedy="Order the chain by context length, strictly growing, from the route that refers to it.",
    failing="""
providers.yaml: {providers: {spare: {models: [{name: tiny, served_as: tiny, context_length: 4096,
  capabilities: [chat], mode: chat, residency: always}]}}}
model-mappings.yaml:
  routes: {exact: {tiny: {context_window_chain: c}}}
  fallback_chains: {c: [tiny, spare]}
""",
    passing="""
model-mappings.yaml:
  routes: {exact: {tiny: {context_window_chain: c}}}
  fallback_chains: {c: [tiny, spare]}
""",
)
def not_growing(registry: Registry) -> Iterator[Hit]:
    """Steps of a context-window chain, after a route that uses it, that take no longer prompt."""
    users = {
        (route.context_window_chain, name)
        for name, route in registry.routes.exact.items()
        if route.context_window_chain is not None
    }
    used = {chain for chain, _ in users}
    started: set[str | int] = set()
    for path, first, upper, second, lower in steps(registry):
        chain = path[1]
        if chain in used and (chain, first) in users:
            started.add(chain)
        if chain in started and lower.context_length <= upper.context_length:
            message = (
                f"{quoted(second)} takes {lower.context_length} tokens, {quoted(first)} before it "
                f"{upper.context_length}."
            )
            yield Hit(path, message)


@rule(
    "GW138",
    severity=Severity.WARNING,
    title="A fallback lacks a capability of the route it stands in for",
    why="A request with tools or an image that the first model takes fails at the next one, or is "
    "answered without them, just when the first is down.",
    remedy="Add the capability to the model if it has it, choose another fallback, or write "
    "degrade: true on the route if a lesser answer is better than none.",
    failing="""
providers.yaml: {providers: {local: {models: [{name: tiny, served_as: tiny, context_length: 4096,
  vram_gb: 6, capabilities: [chat, tools], mode: chat, residency: always}]}}}
model-mappings.yaml:
  routes: {exact: {tiny: {chain: c}}}
  fallback_chains: {c: [tiny, spare]}
""",
    passing="""
providers.yaml: {providers: {local: {models: [{name: tiny, served_as: tiny, context_length: 4096,
  vram_gb: 6, capabilities: [chat, tools], mode: chat, residency: always}]}}}
model-mappings.yaml:
  routes: {exact: {tiny: {chain: c, degrade: true}}}
  fallback_chains: {c: [tiny, spare]}
""",
)
def lost_capability(registry: Registry) -> Iterator[Hit]:
    """Steps whose model lacks what an earlier route of the chain, with it as chain, can do."""
    for chain, names in registry.fallback_chains.items():
        wanted: dict[str, str] = {}  # capability to the first route that has it
        for index, name in enumerate(names):
            model = model_of(registry, name)
            if model is None:
                continue
            lacking = [ability for ability in wanted if ability not in model.capabilities]
            if lacking:
                yield Hit(("fallback_chains", chain, index), _lacks(name, lacking, wanted))
            route = registry.routes.exact[name]
            if chain in route.chains.values() and not route.degrade:
                for ability in model.capabilities:
                    wanted.setdefault(ability, name)
    yield from _lost_behind_groups(registry)


def _lost_behind_groups(registry: Registry) -> Iterator[Hit]:
    """Fallbacks of a group that lack what a member of its first level can do."""
    for group, balancer in registry.load_balancing.items():
        able = [(each, model_of(registry, each.route)) for each in balancer.members]
        levels = [registry.level(each) for each, model in able if model is not None]
        wanted: dict[str, str] = {}
        for member, model in able:
            if model is None or registry.level(member) != min(levels):
                continue
            if not registry.routes.exact[member.route].degrade:
                for ability in model.capabilities:
                    wanted.setdefault(ability, member.route)
        for index, name in enumerate(balancer.fallbacks):
            model = model_of(registry, name)
            lacking = [each for each in wanted if model and each not in model.capabilities]
            if lacking:
                yield Hit(
                    ("load_balancing", group, "fallbacks", index), _lacks(name, lacking, wanted)
                )


def _lacks(name: str, lacking: list[str], wanted: dict[str, str]) -> str:
    return (
        f"{quoted(name)} lacks {', '.join(lacking)}, which {quoted(wanted[lacking[0]])} before it "
        "has."
    )


@rule(
    "GW172",
    severity=Severity.WARNING,
    title="Two neighbouring tiers of a chain are on one provider",
    why="When that server is down, both are: the step between them costs one more timeout and "
    "leads nowhere. It helps only where one model of the server fails by itself.",
    remedy="Put a route of another provider between them, or leave one of them out.",
    failing="""
providers.yaml: {providers: {local: {hardware: ~, type: openai_compatible, models: [
  {name: tiny, served_as: tiny, context_length: 4096, capabilities: [chat], mode: chat,
   residency: always},
  {name: more, served_as: more, context_length: 8192, capabilities: [chat], mode: chat,
   residency: on_demand}]}}}
model-mappings.yaml:
  routes: {exact: {tiny: {chain: c}, more: {provider: local, model: more}}}
  fallback_chains: {c: [tiny, more, spare]}
""",
    passing="""
providers.yaml: {providers: {local: {hardware: ~, type: openai_compatible, models: [
  {name: tiny, served_as: tiny, context_length: 4096, capabilities: [chat], mode: chat,
   residency: always},
  {name: more, served_as: more, context_length: 8192, capabilities: [chat], mode: chat,
   residency: on_demand}]}}}
model-mappings.yaml:
  routes: {exact: {tiny: {chain: c}, more: {provider: local, model: more}}}
  fallback_chains: {c: [tiny, spare, more]}
""",
)
def one_server(registry: Registry) -> Iterator[Hit]:
    """Steps, of chains followed when a server fails, to the provider of the step before."""
    followed = {route.chain for route in registry.routes.exact.values()}
    exact = registry.routes.exact
    for path, first, upper, second, lower in steps(registry):
        provider = exact[second].provider
        if path[1] in followed and upper is not lower and provider == exact[first].provider:
            message = f"{quoted(provider)} serves {quoted(first)} and {quoted(second)}."
            yield Hit(path, message)
    for path, pairs in groupby(steps_behind_groups(registry), key=lambda step: step[0]):
        # A group is down once all its members are.
        before = list(pairs)
        if all(
            exact[first].provider == exact[second].provider and upper is not lower
            for _, first, upper, second, lower in before
        ):
            _, first, _, second, _ = before[0]
            provider = exact[second].provider
            message = f"{quoted(provider)} serves {quoted(first)} and {quoted(second)}."
            yield Hit(path, message)


@rule(
    "GW139",
    severity=Severity.WARNING,
    title="The circuit breaker opens only under heavy traffic",
    why="LiteLLM remembers a failure for cooldown_s, not for a minute: the count starts anew that "
    "long after the first one. Where allowed_fails is so high that it takes more than one failure "
    "a second, a deployment that is alone in its group is never rested, and every request tries "
    "the dead server first.",
    remedy="Lower allowed_fails, or raise cooldown_s.",
    failing="model-mappings.yaml: {resilience: {allowed_fails: 5, cooldown_s: 3}}",
    passing="model-mappings.yaml: {resilience: {allowed_fails: 1, cooldown_s: 3}}",
)
def never_opens(registry: Registry) -> Iterator[Hit]:
    """A breaker that takes at least one failure a second."""
    resilience = registry.resilience
    if resilience.allowed_fails >= resilience.cooldown_s:
        message = (
            f"It takes {resilience.allowed_fails + 1} failures within {resilience.cooldown_s:g} s."
        )
        yield Hit(("resilience", "allowed_fails"), message)
