"""Rules about names: each one means one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.registry.finding import Severity
from harness.registry.patterns import claimant
from harness.registry.rule import Hit, rule
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.registry.registry import Registry
    from harness.registry.rule import Path


@rule(
    "GW110",
    title="One name is defined as two kinds of route",
    why="Exact names, aliases, load-balanced groups and capabilities share one name space: a "
    "client sends only the name, and which of the two answers would depend on lookup order.",
    remedy="Rename one of them.",
    failing="model-mappings.yaml: {routes: {aliases: {spare: tiny}}}",
    passing="model-mappings.yaml: {routes: {aliases: {small: tiny}}}",
)
def name_taken(registry: Registry) -> Iterator[Hit]:
    """Names that stand in more than one table."""
    tables: tuple[tuple[Path, Iterable[str]], ...] = (
        (("routes", "exact"), registry.routes.exact),
        (("routes", "aliases"), registry.routes.aliases),
        (("load_balancing",), registry.load_balancing),
        (("capabilities",), registry.capabilities),
    )
    first: dict[str, Path] = {}
    for table, names in tables:
        for name in names:
            path = (*table, name)
            if name in first:
                line = registry.position(first[name], key=True).line
                message = f"The name {quoted(name)} is already taken in line {line}."
                yield Hit(path, message, on_key=True)
            else:
                first[name] = path


@rule(
    "GW111",
    title="A provider lists one model twice",
    why="Routes find a model by its name; two entries of one name cannot both be meant.",
    remedy="Remove one of them, or rename it.",
    failing="""
providers.yaml:
  providers:
    spare:
      models:
        - {name: tiny, served_as: tiny-a, context_length: 8192, capabilities: [chat], mode: chat,
           residency: always}
        - {name: tiny, served_as: tiny-b, context_length: 8192, capabilities: [chat], mode: chat,
           residency: always}
""",
    passing="{}",
)
def model_twice(registry: Registry) -> Iterator[Hit]:
    """Models that share their name with an earlier one of the same provider."""
    for provider_id, provider in registry.providers.items():
        path = ("providers", provider_id, "models")
        yield from _repeated(path, [model.name for model in provider.models], "name")


@rule(
    "GW112",
    title="Two models of a provider are served under one id",
    why="The server lists one model under the id, so requests for one of the two would be "
    "answered by the other, and nobody would notice.",
    remedy="Serve each under an id of its own (vLLM: --served-model-name).",
    failing="""
providers.yaml:
  providers:
    spare:
      models:
        - {name: tiny, served_as: it, context_length: 8192, capabilities: [chat], mode: chat,
           residency: always}
        - {name: also, served_as: it, context_length: 8192, capabilities: [chat], mode: chat,
           residency: always}
model-mappings.yaml: {routes: {exact: {also: {provider: spare, model: also}}}}
""",
    passing="{}",
)
def served_id_twice(registry: Registry) -> Iterator[Hit]:
    """Models whose upstream id is that of an earlier model of the same provider."""
    for provider_id, provider in registry.providers.items():
        path = ("providers", provider_id, "models")
        yield from _repeated(path, [model.served_as for model in provider.models], "served_as")


def _repeated(path: Path, names: list[str], field: str) -> Iterator[Hit]:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if first.setdefault(name, index) != index:
            message = f"{quoted(name)} is already entry {first[name] + 1} of this list."
            yield Hit((*path, index, field) if field else (*path, index), message)


@rule(
    "GW113",
    title="A list names the same thing twice",
    why="The second entry adds nothing, or, as a weight, counts in a way nobody reads off it.",
    remedy="Remove one of the two.",
    failing="model-mappings.yaml: {public_models: [tiny, spare, tiny]}",
    passing="model-mappings.yaml: {public_models: [tiny, spare]}",
)
def listed_twice(registry: Registry) -> Iterator[Hit]:
    """Repeated public models, capability targets and members of a group."""
    yield from _repeated(("public_models",), list(registry.public_models), "")
    for capability, targets in registry.capabilities.items():
        routes = [target.route for target in targets]
        yield from _repeated(("capabilities", capability), routes, "route")
    for group, balancer in registry.load_balancing.items():
        routes = [member.route for member in balancer.members]
        yield from _repeated(("load_balancing", group, "members"), routes, "route")


@rule(
    "GW115",
    severity=Severity.WARNING,
    title="A capability is hidden by a pattern",
    why="Patterns are looked up before capabilities, so a request for the capability's name "
    "takes the pattern instead.",
    remedy="Rename the capability, or make the pattern's prefix longer.",
    failing="model-mappings.yaml: {routes: {patterns: [{match: cha*, route: spare}]}, "
    "capabilities: {chat: [{route: tiny, priority: 1}]}}",
    passing="model-mappings.yaml: {routes: {patterns: [{match: chat-*, route: spare}]}, "
    "capabilities: {chat: [{route: tiny, priority: 1}]}}",
)
def hidden_capability(registry: Registry) -> Iterator[Hit]:
    """Capabilities whose name a pattern matches."""
    for capability in registry.capabilities:
        claim = claimant(registry, capability)
        if claim is not None:
            message = f"The pattern {quoted(claim.pattern.text)} takes {quoted(capability)} first."
            yield Hit(("capabilities", capability), message, on_key=True)


@rule(
    "GW116",
    title="Two candidates for a capability have the same priority",
    why="Which of them is asked first would depend on their order in the file, which nobody "
    "reads as a decision.",
    remedy="Give each candidate a priority of its own; 1 is asked first.",
    failing="model-mappings.yaml: "
    "{capabilities: {chat: [{route: tiny, priority: 1}, {route: spare, priority: 1}]}}",
    passing="model-mappings.yaml: "
    "{capabilities: {chat: [{route: tiny, priority: 1}, {route: spare, priority: 2}]}}",
)
def priority_twice(registry: Registry) -> Iterator[Hit]:
    """Candidates whose priority an earlier one of the same capability has."""
    for capability, targets in registry.capabilities.items():
        seen: dict[int, str] = {}
        for index, target in enumerate(targets):
            if target.priority in seen:
                other = quoted(seen[target.priority])
                message = f"{other} already has priority {target.priority}."
                yield Hit(("capabilities", capability, index, "priority"), message)
            seen.setdefault(target.priority, target.route)
