"""Rules about what names lead to: a model that runs and can do what it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.registry.finding import Severity
from harness.registry.rule import Hit, rule
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.models import Model, Pattern
    from harness.registry.registry import Registry


def model_of(registry: Registry, name: str) -> Model | None:
    """The model behind an exact route, or None where another rule reports the reference."""
    route = registry.routes.exact.get(name)
    if route is None or route.provider not in registry.providers:
        return None
    return registry.catalogue(route.provider).get(route.model)


def disabled_provider_of(registry: Registry, name: str) -> str | None:
    """The provider behind an exact route if it is disabled, else None."""
    route = registry.routes.exact.get(name)
    provider = registry.providers.get(route.provider) if route else None
    return route.provider if route and provider and not provider.enabled else None


@rule(
    "GW120",
    title="A public model is on a disabled provider",
    why="The gateway would advertise a model that can never answer.",
    remedy="Enable the provider (status: active or optional), or take the name off the list.",
    failing="providers.yaml: {providers: {local: {status: disabled}}}",
    passing="providers.yaml: {providers: {local: {status: optional}}}",
)
def public_model_disabled(registry: Registry) -> Iterator[Hit]:
    """Advertised names, aliases followed, whose provider is never asked."""
    for index, name in enumerate(registry.public_models):
        provider = disabled_provider_of(registry, registry.routes.aliases.get(name, name))
        if provider is not None:
            message = f"{quoted(name)} is on the provider {quoted(provider)}, which is disabled."
            yield Hit(("public_models", index), message)


@rule(
    "GW121",
    severity=Severity.WARNING,
    title="A route leads to a disabled provider",
    why="The name is known but left out of the gateway, so clients that use it are refused.",
    remedy="Enable the provider, or remove what leads to it.",
    failing="providers.yaml: {providers: {spare: {status: disabled}}}",
    passing="providers.yaml: {providers: {spare: {status: optional}}}",
)
def route_disabled(registry: Registry) -> Iterator[Hit]:
    """Exact routes and patterns to a disabled provider, unless GW120 or GW133 reports them."""
    aliases = registry.routes.aliases
    reported = {aliases.get(name, name) for name in registry.public_models}
    reported.update(name for names in registry.fallback_chains.values() for name in names)
    reported.update(name for group in registry.load_balancing.values() for name in group.fallbacks)
    for name in registry.routes.exact:
        provider = disabled_provider_of(registry, name)
        if provider is not None and name not in reported:
            message = f"The provider {quoted(provider)} of {quoted(name)} is disabled."
            yield Hit(("routes", "exact", name), message, on_key=True)
    for index, pattern in enumerate(registry.routes.patterns):
        target = registry.providers.get(pattern.provider or "")
        if target is not None and not target.enabled:
            message = f"The provider {quoted(pattern.provider)} of this pattern is disabled."
            yield Hit(("routes", "patterns", index, "provider"), message)


@rule(
    "GW122",
    severity=Severity.WARNING,
    title="A model has no route",
    why="It is in the catalogue of a provider that runs, but no client can ask for it.",
    remedy="Add an exact route or a pattern for its provider, or remove the model.",
    failing="""
providers.yaml:
  providers:
    spare:
      models:
        - {name: tiny, served_as: tiny, context_length: 8192, capabilities: [chat], mode: chat,
           residency: always}
        - {name: lost, served_as: lost, context_length: 8192, capabilities: [chat], mode: chat,
           residency: manual}
""",
    passing="""
providers.yaml:
  providers:
    spare:
      models:
        - {name: tiny, served_as: tiny, context_length: 8192, capabilities: [chat], mode: chat,
           residency: always}
        - {name: lost, served_as: lost, context_length: 8192, capabilities: [chat], mode: chat,
           residency: manual}
model-mappings.yaml: {routes: {patterns: [{match: spare/*, provider: spare}]}}
""",
)
def unrouted_model(registry: Registry) -> Iterator[Hit]:
    """Models of enabled providers that neither an exact route nor a pattern reaches."""
    exact = {(route.provider, route.model) for route in registry.routes.exact.values()}
    patterns: dict[str | None, list[Pattern]] = {}
    for pattern in registry.routes.patterns:
        patterns.setdefault(pattern.provider, []).append(pattern)
    for provider_id, provider in registry.enabled_providers().items():
        for index, model in enumerate(provider.models):
            if (provider_id, model.name) not in exact and not any(
                pattern.match is not None or pattern.matches(model.name)
                for pattern in patterns.get(provider_id, ())
            ):
                message = f"No route leads to {quoted(model.name)} of {quoted(provider_id)}."
                yield Hit(("providers", provider_id, "models", index, "name"), message)


@rule(
    "GW123",
    title="A candidate lacks the capability it is listed under",
    why="A client that asks for vision and gets a model without it receives an error, or worse, "
    "an answer about an image that was never seen.",
    remedy="Add the capability to the model in providers.yaml if it has it, else remove the "
    "candidate.",
    failing="model-mappings.yaml: {capabilities: {vision: [{route: tiny, priority: 1}]}}",
    passing="model-mappings.yaml: {capabilities: {chat: [{route: tiny, priority: 1}]}}",
)
def lacks_capability(registry: Registry) -> Iterator[Hit]:
    """Candidates whose model does not list the capability."""
    for capability, targets in registry.capabilities.items():
        for index, target in enumerate(targets):
            model = model_of(registry, target.route)
            if model is not None and capability not in model.capabilities:
                message = f"The model of {quoted(target.route)} does not list {quoted(capability)}."
                yield Hit(("capabilities", capability, index, "route"), message)


@rule(
    "GW124",
    severity=Severity.WARNING,
    title="Retries are on, though every name has one deployment",
    why="A retry asks the very server that has just failed. Two of them cost 4.0 to 5.5 s at "
    "each dead tier before the chain goes on (litellm#40405).",
    remedy="Set retries to 0 and let the fallback chain do the work.",
    failing="model-mappings.yaml: {resilience: {retries: 2}}",
    passing="model-mappings.yaml: {resilience: {retries: 0}}",
)
def useless_retries(registry: Registry) -> Iterator[Hit]:
    """Retries in a system of lone deployments."""
    if registry.resilience.retries > 0:
        message = f"{registry.resilience.retries} retries delay every fallback."
        if registry.load_balancing:
            message += " The members of a group are asked by their names too, each alone."
        yield Hit(("resilience", "retries"), message)
