"""Names to deployments: exact, then pattern, then capability, then refusal."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.routing.route import Deployment, Refusal, Route, Rule, Tier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry import Registry
    from harness.registry.models import Model, Provider


def resolve(registry: Registry, name: str) -> Route | Refusal:
    """Decide what should happen to ``name``.

    Precedence: exact names (an alias and a balanced group are exact names too), then
    the pattern with the longest prefix, then a capability, then refusal. There is no
    default: a name nobody claims is refused. A lower rule never changes the answer of
    a higher one.
    """
    return _Resolution(registry, name).decide()


def listed(registry: Registry) -> tuple[str, ...]:
    """Every name that can be written down: all but the open end of route patterns.

    In the order of the sources: exact names, aliases, balanced groups, the catalogue
    behind each provider pattern, capabilities. Names that resolve to a refusal (their
    provider is disabled) are left out.
    """
    names = dict.fromkeys(_candidates(registry))
    return tuple(name for name in names if isinstance(resolve(registry, name), Route))


def _candidates(registry: Registry) -> Iterator[str]:
    yield from registry.routes.exact
    yield from registry.routes.aliases
    yield from registry.load_balancing
    for pattern in registry.routes.patterns:
        if pattern.provider is not None:
            for model in registry.provider(pattern.provider).models:
                yield pattern.prefix + model.name
    yield from registry.capabilities


@dataclass
class _Resolution:
    registry: Registry
    name: str
    steps: list[str] = field(default_factory=list)

    def decide(self) -> Route | Refusal:
        for rule in (self._exact, self._alias, self._balanced, self._pattern, self._capability):
            found = rule()
            if found is not None:
                return found
        self.steps.append("no rule claims it: refused")
        return self._refuse()

    def _exact(self) -> Route | Refusal | None:
        if self.name not in self.registry.routes.exact:
            self.steps.append("not an exact name")
            return None
        place = self._place("routes", "exact", self.name)
        self.steps.append(f"exact name ({place})")
        return self._claimed(Rule.EXACT, self.name, place, self._chain(self.name))

    def _alias(self) -> Route | Refusal | None:
        target = self.registry.routes.aliases.get(self.name)
        if target is None:
            return None
        place = self._place("routes", "aliases", self.name)
        self.steps.append(f"alias of {target} ({place})")
        return self._claimed(Rule.ALIAS, target, place, self._chain(target))

    def _balanced(self) -> Route | Refusal | None:
        balancer = self.registry.load_balancing.get(self.name)
        if balancer is None:
            return None
        place = self._place("load_balancing", self.name)
        self.steps.append(f"load-balanced group, {balancer.strategy} ({place})")
        members = [
            self._deployment(self.name, member.route, weight=member.weight)
            for member in balancer.members
            if self._enabled(member.route)
        ]
        if not members:
            return self._claimed(Rule.BALANCED, self.name, place, [])
        shares = ", ".join(f"{member.provider} {member.weight}" for member in members)
        head = Tier(group=self.name, deployments=tuple(members), why=f"picked by weight ({shares})")
        rest = [
            self._single(member.route, "member asked by name, should the picked one fail")
            for member in balancer.members
            if self._enabled(member.route)
        ]
        return self._claimed(Rule.BALANCED, self.name, place, [head, *rest])

    def _pattern(self) -> Route | Refusal | None:
        matching = [
            (len(pattern.prefix), -position, pattern)
            for position, pattern in enumerate(self.registry.routes.patterns)
            if self.name.startswith(pattern.prefix)
        ]
        if not matching:
            self.steps.append("matches no pattern")
            return None
        _, position, pattern = max(matching, key=lambda match: match[:2])
        place = self._place("routes", "patterns", -position, "match")
        self.steps.append(f"longest matching pattern is {pattern.match} ({place})")
        if pattern.provider is not None:
            return self._catalogue(pattern.provider, pattern.prefix, place)
        target = pattern.route or ""
        if not self._enabled(target):
            return self._claimed(Rule.PATTERN, pattern.match, place, [])
        deployment = self._deployment(pattern.match, target)
        self.steps.append(f"every match is answered by {target} on {deployment.provider}")
        self.steps.append("no chain: LiteLLM looks fallbacks up by the name the client sent")
        tier = Tier(group=pattern.match, deployments=(deployment,), why="target of the pattern")
        return self._claimed(Rule.PATTERN, pattern.match, place, [tier])

    def _catalogue(self, provider_id: str, prefix: str, place: str) -> Route | Refusal:
        wanted = self.name.removeprefix(prefix)
        provider = self.registry.provider(provider_id)
        model = next((model for model in provider.models if model.name == wanted), None)
        if model is None:
            self.steps.append(f"{provider_id} has no model {wanted} in its catalogue: refused")
            return self._refuse()
        if not provider.enabled:
            self.steps.append(f"provider {provider_id} is disabled: refused")
            return self._refuse()
        deployment = Deployment(
            id=f"{self.name}@{provider_id}",
            group=self.name,
            provider=provider_id,
            model=model.name,
            served_as=model.served_as,
            context_length=model.context_length,
            resident=resident(provider, model),
        )
        tier = Tier(group=self.name, deployments=(deployment,), why="named in the catalogue")
        return self._claimed(Rule.PATTERN, self.name, place, [tier])

    def _capability(self) -> Route | Refusal | None:
        targets = self.registry.capabilities.get(self.name)
        if targets is None:
            self.steps.append("not a capability")
            return None
        place = self._place("capabilities", self.name)
        ordered = sorted(targets, key=lambda target: target.priority)
        self.steps.append(
            f"capability ({place}): " + ", ".join(f"{t.priority} {t.route}" for t in ordered)
        )
        tiers = [tier for target in ordered for tier in self._chain(target.route)]
        return self._claimed(Rule.CAPABILITY, tiers[0].group if tiers else "", place, tiers)

    def _chain(self, head: str) -> list[Tier]:
        """``head`` and what its chain tries after it, disabled providers left out."""
        route = self.registry.route(head)
        names = [head]
        reasons = [f"{head} itself"]
        if route.chain is not None:
            after = self.registry.chain_after(head)
            names += after
            reasons += [f"fallback {i} of chain {route.chain}" for i in range(1, len(after) + 1)]
        return [
            self._single(name, reason)
            for name, reason in zip(names, reasons, strict=True)
            if self._enabled(name)
        ]

    def _single(self, name: str, why: str) -> Tier:
        return Tier(group=name, deployments=(self._deployment(name, name),), why=why)

    def _deployment(self, group: str, route_name: str, *, weight: int = 1) -> Deployment:
        route = self.registry.route(route_name)
        model = self.registry.model(route.provider, route.model)
        return Deployment(
            id=f"{group}@{route.provider}",
            group=group,
            provider=route.provider,
            model=model.name,
            served_as=model.served_as,
            context_length=model.context_length,
            resident=resident(self.registry.provider(route.provider), model),
            weight=weight,
        )

    def _place(self, *path: str | int) -> str:
        return str(self.registry.position(path, key=isinstance(path[-1], str)))

    def _enabled(self, route_name: str) -> bool:
        provider_id = self.registry.route(route_name).provider
        if self.registry.provider(provider_id).enabled:
            return True
        self.steps.append(f"{route_name} left out: provider {provider_id} is disabled")
        return False

    def _claimed(self, rule: Rule, target: str, place: str, tiers: list[Tier]) -> Route | Refusal:
        first: dict[str, Tier] = {}
        for tier in tiers:
            first.setdefault(tier.group, tier)
        unique = tuple(first.values())
        if not unique:
            self.steps.append("nothing enabled is left to answer it: refused")
            return self._refuse()
        if not any(deployment.resident for deployment in unique[0].deployments):
            self.steps.append(f"{unique[0].group} is loaded by hand: until then the next answers")
        return Route(
            name=self.name,
            rule=rule,
            target=target,
            place=place,
            tiers=unique,
            steps=tuple(self.steps),
        )

    def _refuse(self) -> Refusal:
        near = difflib.get_close_matches(self.name, list(dict.fromkeys(_candidates(self.registry))))
        return Refusal(name=self.name, steps=tuple(self.steps), nearest=tuple(near))


def resident(provider: Provider, model: Model) -> bool:
    """Whether a running server of this provider holds the model without further ado.

    A model loaded by hand is missing only where another one is always loaded in its
    place; a server whose one model is started by hand holds it whenever it runs.
    """
    return model.residency != "manual" or all(
        other.residency != "always" for other in provider.models
    )
