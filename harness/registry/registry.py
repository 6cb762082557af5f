"""The loaded, validated sources: one frozen value that everything above is built from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

from harness.registry.wording import quoted, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.registry.finding import Place
    from harness.registry.models import (
        Balancer,
        Budgets,
        Cache,
        CapabilityTarget,
        Gateway,
        Host,
        Mappings,
        Member,
        Model,
        Ports,
        Provider,
        Providers,
        Queue,
        Resilience,
        Route,
        Routes,
        SpecialCase,
    )
    from harness.registry.rule import Path
    from harness.registry.source import Document

Item = TypeVar("Item")
Derived = TypeVar("Derived")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """What the three source files say, and where they say it.

    Mappings keep the order of the file. The lookups raise ``LookupError`` with a near name;
    in a registry from :func:`harness.registry.load` every reference inside it resolves.
    """

    providers_source: Providers
    mappings_source: Mappings
    ports: Ports
    documents: Mapping[str, Document]
    _derived: dict[object, object] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def derived(self, make: Callable[[Registry], Derived]) -> Derived:
        """What ``make`` makes of this registry, made once: an index, a hash, a table.

        ``make`` is a function of the sources alone, named at the top of a module; it is the key.
        """
        try:
            return cast("Derived", self._derived[make])
        except KeyError:
            return cast("Derived", self._derived.setdefault(make, make(self)))

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Providers by id, disabled ones included."""
        return self.providers_source.providers

    @property
    def hosts(self) -> Mapping[str, Host]:
        """Machines by id."""
        return self.providers_source.hosts

    @property
    def public_models(self) -> tuple[str, ...]:
        """The names the gateway advertises."""
        return self.mappings_source.public_models

    @property
    def routes(self) -> Routes:
        """Exact names, aliases and patterns."""
        return self.mappings_source.routes

    @property
    def capabilities(self) -> Mapping[str, tuple[CapabilityTarget, ...]]:
        """Candidates by capability, in the order of the file (not yet by priority)."""
        return self.mappings_source.capabilities

    @property
    def load_balancing(self) -> Mapping[str, Balancer]:
        """Load-balanced groups by name."""
        return self.mappings_source.load_balancing

    @property
    def fallback_chains(self) -> Mapping[str, tuple[str, ...]]:
        """Exact names in the order they are tried, by chain id."""
        return self.mappings_source.fallback_chains

    @property
    def rules(self) -> tuple[SpecialCase, ...]:
        """Special cases, in order."""
        return self.mappings_source.rules

    @property
    def cache(self) -> Cache | None:
        """Answers given again; None without a cache."""
        return self.mappings_source.cache

    @property
    def budgets(self) -> Budgets:
        """Spending limits."""
        return self.mappings_source.budgets

    @property
    def queue(self) -> Queue | None:
        """Requests that wait; None without a queue."""
        return self.mappings_source.queue

    @property
    def resilience(self) -> Resilience:
        """Timeouts, retries, circuit breaker."""
        return self.mappings_source.resilience

    @property
    def gateway(self) -> Gateway:
        """The one door."""
        return self.mappings_source.gateway

    @property
    def sha256(self) -> str:
        """Hash over what the sources say, in hex: comments, key order and style do not count."""
        return self.derived(_sha256)

    def provider(self, provider_id: str) -> Provider:
        """The provider called ``provider_id``."""
        return _find(self.providers, provider_id, "provider")

    def model(self, provider_id: str, name: str) -> Model:
        """The model called ``name`` in that provider's catalogue."""
        catalogue = self.catalogue(provider_id)
        return _find(catalogue, name, f"model at the provider {quoted(provider_id)} called")

    def catalogue(self, provider_id: str) -> Mapping[str, Model]:
        """The models of a provider by name."""
        self.provider(provider_id)
        return self.derived(_catalogues)[provider_id]

    def route(self, name: str) -> Route:
        """The exact route called ``name``; aliases are not followed."""
        return _find(self.routes.exact, name, "exact route")

    def chain_after(self, name: str) -> tuple[str, ...]:
        """The exact names tried after the exact route ``name`` has failed; empty without chain."""
        return self.follows(name, self.route(name).chain)

    def follows(self, name: str, chain_id: str | None) -> tuple[str, ...]:
        """The exact names after ``name`` in a chain; empty without chain."""
        if chain_id is None:
            return ()
        chain = _find(self.fallback_chains, chain_id, "fallback chain")
        return chain[chain.index(name) + 1 :] if name in chain else ()

    def level(self, member: Member) -> tuple[bool, int]:
        """Where a member of a balanced group stands; the lowest level is asked first.

        Its own order counts before the priority of its provider, and what is failover-only comes
        after everything else.
        """
        provider = self.provider(self.route(member.route).provider)
        order = member.order if member.order is not None else provider.priority
        return provider.failover_only, order

    def enabled_providers(self) -> dict[str, Provider]:
        """Providers that may be asked: active and optional ones."""
        return {key: provider for key, provider in self.providers.items() if provider.enabled}

    def address(self, service: str) -> tuple[str, int]:
        """Host and port of a service in ports.yaml."""
        return self.ports.host, _find(self.ports.services, service, "service").port

    def origin(self, provider_id: str) -> str:
        """Root URL of a provider without ``api_path``; health paths are asked there."""
        provider = self.provider(provider_id)
        if provider.base_url is not None:
            return provider.base_url
        host, port = self.address(provider.port or "")
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def base_url(self, provider_id: str) -> str:
        """Root URL of a provider's API, ``api_path`` included, as OpenAI clients take it."""
        return self.origin(provider_id) + self.provider(provider_id).api_path

    def position(self, path: Path, *, key: bool = False) -> Place:
        """Where the value (or the key) at ``path`` stands in the source files.

        The first step tells the file, as no two files share a root key: ``("providers",
        "vllm", "models", 0)``. A path that is not written there, such as a default, gives the
        place of its nearest ancestor.
        """
        document = self.derived(_roots).get(path[0])
        if document is None:
            raise LookupError(f"No source file has the root key {path[:1]}")
        return document.position(path, key=key)


def _sha256(registry: Registry) -> str:
    content = {name: document.value for name, document in registry.documents.items()}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _roots(registry: Registry) -> dict[str | int, Document]:
    return {
        key: document for document in registry.documents.values() for key in document.value or ()
    }


def _catalogues(registry: Registry) -> dict[str, dict[str, Model]]:
    return {
        provider_id: {model.name: model for model in provider.models}
        for provider_id, provider in registry.providers.items()
    }


def _find(table: Mapping[str, Item], name: str, kind: str) -> Item:
    try:
        return table[name]
    except KeyError:
        raise LookupError(f"There is no {kind} {quoted(name)}. {suggest(name, table)}") from None
