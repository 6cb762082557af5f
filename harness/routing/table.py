"""What resolving looks up in a registry, laid out once, and the answers it has given."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from harness.registry.patterns import patterns
from harness.routing.route import Deployment, Tier

if TYPE_CHECKING:
    from harness.registry import Registry
    from harness.registry.models import Model
    from harness.routing.route import Refusal, Route


class Table:
    """One registry, indexed by what a resolution asks of it.

    ``names`` are those that can be written down, refused ones included. Of the exact names,
    ``own`` has the tier of the group of that name, ``chained`` the entries with a chain of any
    kind; ``disabled`` are those on a disabled provider. ``answers`` are the routes and
    refusals found so far, of ``names`` only, or anybody could fill the memory.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.exact = exact = registry.routes.exact
        self.enabled = frozenset(registry.enabled_providers())
        self.answers: dict[str, Route | Refusal] = {}
        self.names = dict.fromkeys(
            (
                *exact,
                *registry.routes.aliases,
                *registry.load_balancing,
                *patterns(registry).names,
                *registry.capabilities,
            )
        )
        self._models = {key: registry.catalogue(key) for key in registry.providers}
        # Providers that always hold some model, so that one loaded by hand takes its place.
        self._occupied = frozenset(
            name
            for name, provider in registry.providers.items()
            if any(model.residency == "always" for model in provider.models)
        )
        self.own = {
            name: Tier(group=name, deployments=(self.deployment(name, name),), why=f"{name} itself")
            for name in exact
        }
        self.chained = {name: entry for name, entry in exact.items() if entry.chains}
        self.disabled = frozenset(
            name for name, entry in exact.items() if entry.provider not in self.enabled
        )

    def deployment(
        self,
        group: str,
        name: str,
        *,
        weight: int = 1,
        order: int | None = None,
        with_model: bool = False,
    ) -> Deployment:
        """The deployment of an exact name in any group."""
        route = self.exact[name]
        id_ = f"{group}@{route.provider}:{route.model}" if with_model else None
        model = self._models[route.provider][route.model]
        return self.on(route.provider, model, group, id_=id_, weight=weight, order=order)

    def on(
        self,
        provider: str,
        model: Model,
        group: str,
        *,
        id_: str | None = None,
        weight: int = 1,
        order: int | None = None,
    ) -> Deployment:
        """The deployment of a model on its provider."""
        return Deployment(
            id=id_ or f"{group}@{provider}",
            group=group,
            provider=provider,
            model=model.name,
            served_as=model.served_as,
            context_length=model.context_length,
            resident=model.residency != "manual" or provider not in self._occupied,
            weight=weight,
            order=order,
            capabilities=model.capabilities,
        )

    def model(self, provider: str, name: str) -> Model | None:
        """A model of a provider's catalogue."""
        return self._models[provider].get(name)

    def nearest(self, name: str) -> tuple[str, ...]:
        """Names that were perhaps meant."""
        return tuple(difflib.get_close_matches(name, self.names))
