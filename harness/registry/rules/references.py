"""Rules about references: whatever one entry names, another one defines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.registry.rule import Hit, rule
from harness.registry.wording import quoted, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.registry import Registry
    from harness.registry.rule import Path


@rule(
    "GW101",
    title="A route names a provider that is not defined",
    why="A request for the route would have no server to go to.",
    remedy="Define the provider in providers.yaml, or correct the name.",
    failing="model-mappings.yaml: {routes: {exact: {tiny: {provider: locl}}}}",
    passing="model-mappings.yaml: {routes: {exact: {tiny: {provider: local}}}}",
)
def unknown_provider(registry: Registry) -> Iterator[Hit]:
    """Exact routes and patterns whose provider does not exist."""
    for name, route in registry.routes.exact.items():
        path: Path = ("routes", "exact", name, "provider")
        yield from _unknown(path, "provider", route.provider, list(registry.providers))
    for index, pattern in enumerate(registry.routes.patterns):
        if pattern.provider is not None:
            path = ("routes", "patterns", index, "provider")
            yield from _unknown(path, "provider", pattern.provider, list(registry.providers))


@rule(
    "GW102",
    title="A route names a model its provider does not have",
    why="The upstream server would answer 404 for every request to the route.",
    remedy="Add the model to the provider's catalogue, or correct the name.",
    failing="model-mappings.yaml: {routes: {exact: {tiny: {model: tini}}}}",
    passing="model-mappings.yaml: {routes: {exact: {tiny: {model: tiny}}}}",
)
def unknown_model(registry: Registry) -> Iterator[Hit]:
    """Exact routes whose model is not in the catalogue of their provider."""
    for name, route in registry.routes.exact.items():
        provider = registry.providers.get(route.provider)
        catalogue = [model.name for model in provider.models] if provider else []
        if catalogue and route.model not in catalogue:
            message = f"The provider {quoted(route.provider)} has no model {quoted(route.model)}."
            yield Hit(("routes", "exact", name, "model"), message, suggest(route.model, catalogue))


@rule(
    "GW103",
    title="A name stands where only an exact route can, and is none",
    why="Aliases, patterns, capabilities, load-balanced groups and chains all end at exact "
    "routes, so that each of them takes one step and none can run in a circle.",
    remedy="Define it under routes.exact, or correct the name.",
    failing="model-mappings.yaml: {routes: {aliases: {small: tini}}}",
    passing="model-mappings.yaml: {routes: {aliases: {small: tiny}}}",
)
def unknown_route(registry: Registry) -> Iterator[Hit]:
    """Every place that refers to an exact route that does not exist."""
    exact = registry.routes.exact
    for path, name in _route_references(registry):
        if name in exact:
            continue
        kind = _other_kind(registry, name)
        if kind:
            message = f"{quoted(name)} is {kind}, and only an exact route can stand here."
            target = registry.routes.aliases.get(name)
            yield Hit(path, message, f"Write {quoted(target)}." if target else "")
        else:
            yield from _unknown(path, "exact route", name, list(exact))


def _route_references(registry: Registry) -> Iterator[tuple[Path, str]]:
    for alias, name in registry.routes.aliases.items():
        yield ("routes", "aliases", alias), name
    for index, pattern in enumerate(registry.routes.patterns):
        if pattern.route is not None:
            yield ("routes", "patterns", index, "route"), pattern.route
    for capability, targets in registry.capabilities.items():
        for index, target in enumerate(targets):
            yield ("capabilities", capability, index, "route"), target.route
    for group, balancer in registry.load_balancing.items():
        for index, member in enumerate(balancer.members):
            yield ("load_balancing", group, "members", index, "route"), member.route
    for chain, names in registry.fallback_chains.items():
        for index, name in enumerate(names):
            yield ("fallback_chains", chain, index), name


def _other_kind(registry: Registry, name: str) -> str:
    if name in registry.routes.aliases:
        return "an alias"
    if name in registry.load_balancing:
        return "a load-balanced group"
    return "a capability" if name in registry.capabilities else ""


@rule(
    "GW104",
    title="A service is not defined in ports.yaml",
    why="ports.yaml is the one home of every port; without the service there is no address.",
    remedy="Define the service in ports.yaml, or correct the name.",
    failing="model-mappings.yaml: {gateway: {port: gatway}}",
    passing="model-mappings.yaml: {gateway: {port: gateway}}",
)
def unknown_service(registry: Registry) -> Iterator[Hit]:
    """Providers and a gateway whose port is no service."""
    for path, service in _service_references(registry):
        yield from _unknown(path, "service", service, list(registry.ports.services))


@rule(
    "GW105",
    title="A route names a fallback chain that is not defined",
    why="The route would have no fallback at all, silently.",
    remedy="Define the chain under fallback_chains, or correct the id.",
    failing="model-mappings.yaml: "
    "{routes: {exact: {tiny: {chain: sav}}}, fallback_chains: {safe: [tiny, spare]}}",
    passing="model-mappings.yaml: "
    "{routes: {exact: {tiny: {chain: safe}}}, fallback_chains: {safe: [tiny, spare]}}",
)
def unknown_chain(registry: Registry) -> Iterator[Hit]:
    """Exact routes whose chain does not exist."""
    for name, route in registry.routes.exact.items():
        if route.chain is not None:
            path = ("routes", "exact", name, "chain")
            yield from _unknown(path, "chain", route.chain, list(registry.fallback_chains))


@rule(
    "GW106",
    title="A provider runs on a host that is not defined",
    why="Without the host's memory nobody can tell whether the models fit.",
    remedy="Define the host under hosts, or correct the id.",
    failing="providers.yaml: {providers: {local: {hardware: {host: bx}}}}",
    passing="providers.yaml: {providers: {local: {hardware: {host: box}}}}",
)
def unknown_host(registry: Registry) -> Iterator[Hit]:
    """Providers whose host does not exist."""
    for name, provider in registry.providers.items():
        if provider.hardware is not None:
            path = ("providers", name, "hardware", "host")
            yield from _unknown(path, "host", provider.hardware.host, list(registry.hosts))


@rule(
    "GW107",
    title="A provider or the gateway sits on a service that does not speak HTTP",
    why="It is asked over HTTP; a service marked tcp, such as a cache, would not understand.",
    remedy="Refer to the right service, or set its protocol to http.",
    failing="ports.yaml: {services: {local: {protocol: tcp}}}",
    passing="ports.yaml: {services: {local: {protocol: http}}}",
)
def wrong_protocol(registry: Registry) -> Iterator[Hit]:
    """References to a tcp service where http is needed."""
    for path, name in _service_references(registry):
        service = registry.ports.services.get(name)
        if service is not None and service.protocol != "http":
            yield Hit(path, f"The service {quoted(name)} speaks {service.protocol}, not http.")


@rule(
    "GW108",
    title="A public model is not a name that can be asked for",
    why="The gateway would advertise a model that it then refuses.",
    remedy="Define the name, or take it off the list.",
    failing="model-mappings.yaml: {public_models: [tiny, smal], routes: {aliases: {small: tiny}}}",
    passing="model-mappings.yaml: {public_models: [tiny, small], routes: {aliases: {small: tiny}}}",
)
def unknown_public_model(registry: Registry) -> Iterator[Hit]:
    """Advertised names that nothing defines."""
    routes = registry.routes
    tables = (routes.exact, routes.aliases, registry.load_balancing, registry.capabilities)
    names = [name for table in tables for name in table]
    for index, name in enumerate(registry.public_models):
        yield from _unknown(("public_models", index), "name", name, names)


def _service_references(registry: Registry) -> Iterator[tuple[Path, str]]:
    for name, provider in registry.providers.items():
        if provider.port is not None:
            yield ("providers", name, "port"), provider.port
    yield ("gateway", "port"), registry.gateway.port


def _unknown(path: Path, kind: str, name: str, known: list[str]) -> Iterator[Hit]:
    if name not in known:
        yield Hit(path, f"There is no {kind} {quoted(name)}.", suggest(name, known))
