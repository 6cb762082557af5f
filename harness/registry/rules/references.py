"""Rules about references: whatever one entry names, another one defines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.registry.rule import Hit, rule
from harness.registry.wording import quoted, suggest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from harness.registry.registry import Registry
    from harness.registry.rule import Path

MAX_SUGGESTED = 20
"""Of one rule, so many findings say which name was perhaps meant."""


@rule(
    "GW101",
    title="A route names a provider that is not defined",
    why="A request for the route would have no server to go to.",
    remedy="Define the provider in providers.yaml, or correct the name.",
    failing="model-mappings.yaml: {routes: {exact: {tiny: {provider: locl}}}}",
    passing="model-mappings.yaml: {routes: {exact: {tiny: {provider: local}}}}",
)
def unknown_provider(registry: Registry) -> Iterator[Hit]:
    """Exact routes, patterns and budgets whose provider does not exist."""
    known = _Known("provider", registry.providers)
    for name, route in registry.routes.exact.items():
        yield from known.check(("routes", "exact", name, "provider"), route.provider)
    for index, pattern in enumerate(registry.routes.patterns):
        if pattern.provider is not None:
            yield from known.check(("routes", "patterns", index, "provider"), pattern.provider)
    for name in registry.budgets.providers:
        for hit in known.check(("budgets", "providers", name), name):
            yield Hit(hit.path, hit.message, hit.remedy, on_key=True)


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
    known: dict[str, _Known] = {}
    for name, route in registry.routes.exact.items():
        if route.provider not in registry.providers:  # GW101 reports it
            continue
        catalogue = registry.catalogue(route.provider)
        if route.model not in catalogue:
            near = known.setdefault(route.provider, _Known("model", catalogue))
            message = f"The provider {quoted(route.provider)} has no model {quoted(route.model)}."
            yield Hit(("routes", "exact", name, "model"), message, near.suggest(route.model))


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
    known = _Known("exact route", exact)
    for path, name in _route_references(registry):
        if name in exact:
            continue
        kind = _other_kind(registry, name)
        if kind:
            message = f"{quoted(name)} is {kind}, and only an exact route can stand here."
            target = registry.routes.aliases.get(name)
            yield Hit(path, message, f"Write {quoted(target)}." if target else "")
        else:
            yield from known.check(path, name)


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
        for index, name in enumerate(balancer.fallbacks):
            yield ("load_balancing", group, "fallbacks", index), name
    yield from _names_in_lists(registry)


def _names_in_lists(registry: Registry) -> Iterator[tuple[Path, str]]:
    for chain, names in registry.fallback_chains.items():
        for index, name in enumerate(names):
            yield ("fallback_chains", chain, index), name
    for index, case in enumerate(registry.rules):
        yield ("rules", index, "name"), case.name
        yield ("rules", index, "route"), case.route


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
    """Providers, a gateway and a cache whose port is no service."""
    known = _Known("service", registry.ports.services)
    for path, service in _service_references(registry):
        yield from known.check(path, service)
    if registry.cache is not None and registry.cache.service is not None:
        yield from known.check(("cache", "service"), registry.cache.service)


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
    """Exact routes one of whose chains does not exist."""
    known = _Known("chain", registry.fallback_chains)
    for name, route in registry.routes.exact.items():
        for field, chain in route.chains.items():
            yield from known.check(("routes", "exact", name, field), chain)


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
    known = _Known("host", registry.hosts)
    for name, provider in registry.providers.items():
        if provider.hardware is not None:
            path = ("providers", name, "hardware", "host")
            yield from known.check(path, provider.hardware.host)


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
    known = _Known("name", dict.fromkeys(name for table in tables for name in table))
    for index, name in enumerate(registry.public_models):
        yield from known.check(("public_models", index), name)


def _service_references(registry: Registry) -> Iterator[tuple[Path, str]]:
    for name, provider in registry.providers.items():
        if provider.port is not None:
            yield ("providers", name, "port"), provider.port
    yield ("gateway", "port"), registry.gateway.port


class _Known:
    """Names of one kind; says of another what was perhaps meant, for the first few of them.

    To compare one name with thousands takes milliseconds, so for thousands it is not done.
    """

    def __init__(self, kind: str, names: Collection[str]) -> None:
        self._kind = kind
        self._names = names
        self._left = MAX_SUGGESTED

    def check(self, path: Path, name: str) -> Iterator[Hit]:
        if name not in self._names:
            yield Hit(path, f"There is no {self._kind} {quoted(name)}.", self.suggest(name))

    def suggest(self, name: str) -> str:
        self._left -= 1
        return suggest(name, self._names) if self._left >= 0 else ""
