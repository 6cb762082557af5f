"""Names to deployments: exact, then pattern, then capability, then refusal."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from harness.registry.patterns import patterns
from harness.routing.narrow import narrow
from harness.routing.route import Deployment, Refusal, Route, Rule, Tier

if TYPE_CHECKING:
    from collections.abc import Collection

    from harness.registry import Registry
    from harness.registry.models import Member, Model, Provider
    from harness.registry.patterns import Claim


def resolve(
    registry: Registry,
    name: str,
    *,
    context: int | None = None,
    needs: Collection[str] = (),
    down: Collection[str] = (),
) -> Route | Refusal:
    """Decide what should happen to ``name``.

    Precedence: exact names (an alias and a balanced group are exact names too), then the most
    specific pattern (a whole name, else the longest prefix), then a capability, then refusal.
    There is no default: a name nobody claims is refused. A lower rule never changes the answer
    of a higher one.

    With ``context`` (tokens of the prompt), ``needs`` (capabilities) or ``down`` (provider ids)
    the answer is about one request: see :func:`harness.routing.narrow.narrow`.
    """
    known = registry.derived(_answers)
    found = known.get(name)
    if found is None:
        found = _Resolution(registry, name).decide()
        if name in registry.derived(_candidates):  # else anybody could fill the memory
            known[name] = found
    if (context is None and not needs and not down) or isinstance(found, Refusal):
        return found
    return narrow(found, context=context, needs=needs, down=down)


def listed(registry: Registry) -> tuple[str, ...]:
    """Every name that can be written down: all but the open end of route patterns.

    In the order of the sources: exact names, aliases, balanced groups, what patterns spell out
    (the catalogue behind a provider's, the names of a regular expression), capabilities. Names
    that resolve to a refusal (their provider is disabled) are left out.
    """
    return registry.derived(_listed)


def _answers(_: Registry) -> dict[str, Route | Refusal]:
    return {}


def _listed(registry: Registry) -> tuple[str, ...]:
    names = registry.derived(_candidates)
    return tuple(name for name in names if isinstance(resolve(registry, name), Route))


def _candidates(registry: Registry) -> dict[str, None]:
    return dict.fromkeys(
        (
            *registry.routes.exact,
            *registry.routes.aliases,
            *registry.load_balancing,
            *patterns(registry).names,
            *registry.capabilities,
        )
    )


def _occupied(registry: Registry) -> frozenset[str]:
    """Providers that always hold some model, so that one loaded by hand takes its place."""
    return frozenset(
        name
        for name, provider in registry.providers.items()
        if any(model.residency == "always" for model in provider.models)
    )


def _nearest(registry: Registry, name: str) -> tuple[str, ...]:
    return tuple(difflib.get_close_matches(name, registry.derived(_candidates)))


@dataclass
class _Resolution:
    registry: Registry
    name: str
    steps: list[str] = field(default_factory=list)
    declined: str = ""

    def decide(self) -> Route | Refusal:
        for rule in (self._exact, self._alias, self._balanced, self._pattern, self._capability):
            found = rule()
            if found is not None:
                return found
        return self._refuse(self.declined or "no rule claims it")

    def _exact(self) -> Route | Refusal | None:
        if self.name not in self.registry.routes.exact:
            self.steps.append("not an exact name")
            return None
        place = self._place("routes", "exact", self.name)
        self.steps.append(f"exact name ({place})")
        return self._headed(Rule.EXACT, self.name, place)

    def _alias(self) -> Route | Refusal | None:
        target = self.registry.routes.aliases.get(self.name)
        if target is None:
            return None
        place = self._place("routes", "aliases", self.name)
        self.steps.append(f"alias of {target} ({place})")
        return self._headed(Rule.ALIAS, target, place)

    def _balanced(self) -> Route | Refusal | None:
        balancer = self.registry.load_balancing.get(self.name)
        if balancer is None:
            return None
        place = self._place("load_balancing", self.name)
        self.steps.append(f"load-balanced group, {balancer.strategy} ({place})")
        members = [member for member in balancer.members if self._enabled(member.route)]
        levels = sorted({self.registry.level(member) for member in members})
        tiers = []
        for order, level in enumerate(levels, start=1):
            there = [member for member in members if self.registry.level(member) == level]
            deployments = tuple(
                self._member(member, members, order if len(levels) > 1 else None)
                for member in there
            )
            why = _picked(balancer.strategy, deployments)
            if order > 1:
                why = f"level {order}: {why}"
            tiers.append(
                Tier(group=self.name, deployments=deployments, why=why, strategy=balancer.strategy)
            )
        tiers += [
            self._single(member.route, "member asked by name, should the picked one fail")
            for member in members
            if len(levels) < len(members)
            and sum(self.registry.level(member) == self.registry.level(o) for o in members) > 1
        ]
        return self._claimed(Rule.BALANCED, self.name, place, tiers)

    def _member(self, member: Member, members: list[Member], order: int | None) -> Deployment:
        provider = self.registry.route(member.route).provider
        twice = sum(self.registry.route(other.route).provider == provider for other in members) > 1
        return self._deployment(
            self.name, member.route, weight=member.weight, order=order, with_model=twice
        )

    def _pattern(self) -> Route | Refusal | None:
        for claim in patterns(self.registry).claims(self.name):
            place = self._claim_place(claim)
            if claim.pattern.provider is None:
                return self._to_route(claim, place)
            found = self._catalogue(claim, place)
            if isinstance(found, Route):
                return found
            self.declined = self.declined or found
        if not self.declined:
            self.steps.append("matches no pattern")
        return None

    def _claim_place(self, claim: Claim) -> str:
        field_name = "match" if claim.pattern.match is not None else "regex"
        place = self._place("routes", "patterns", claim.position, field_name)
        how = "longest matching pattern" if claim.is_open else "pattern that spells the name"
        self.steps.append(f"{how} is {claim.pattern.text} ({place})")
        return place

    def _to_route(self, claim: Claim, place: str) -> Route | Refusal:
        target = claim.pattern.route or ""
        if not claim.is_open:
            self.steps.append(f"it is answered as {target}")
            return self._headed(Rule.PATTERN, target, place)
        group = f"{claim.text}*"
        if not self._enabled(target):
            return self._claimed(Rule.PATTERN, group, place, [])
        deployment = self._deployment(group, target)
        self.steps.append(f"every match is answered by {target} on {deployment.provider}")
        self.steps.append("no chain: LiteLLM looks fallbacks up by the name the client sent")
        tier = Tier(group=group, deployments=(deployment,), why="target of the pattern")
        return self._claimed(Rule.PATTERN, group, place, [tier])

    def _catalogue(self, claim: Claim, place: str) -> Route | str:
        """The model of a provider's catalogue, or why it is not there."""
        provider_id, wanted = claim.pattern.provider or "", claim.model or ""
        model = self.registry.catalogue(provider_id).get(wanted)
        if model is None:
            return f"{provider_id} has no model {wanted} in its catalogue"
        if not self.registry.provider(provider_id).enabled:
            return f"provider {provider_id} is disabled"
        id_ = f"{self.name}@{provider_id}"
        deployment = self._on(provider_id, model, id_=id_, group=self.name)
        tier = Tier(group=self.name, deployments=(deployment,), why="named in the catalogue")
        return self._route(Rule.PATTERN, self.name, place, (tier,))

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
        target = tiers[0].group if tiers else ""
        return self._claimed(Rule.CAPABILITY, target, place, tiers, head=target)

    def _headed(self, rule: Rule, head: str, place: str) -> Route | Refusal:
        return self._claimed(rule, head, place, self._chain(head), head=head)

    def _chain(self, head: str) -> list[Tier]:
        """``head`` and what its chain tries after it, disabled providers left out."""
        first = [self._single(head, f"{head} itself")] if self._enabled(head) else []
        return [*first, *self._after(head, "chain")]

    def _after(self, head: str, kind: str) -> list[Tier]:
        """What one kind of chain of ``head`` tries after it."""
        route = self.registry.routes.exact.get(head)
        chain: str | None = getattr(route, kind, None)
        if chain is None:
            return []
        after = self.registry.follows(head, chain)
        return [
            self._single(name, f"fallback {number} of chain {chain}")
            for number, name in enumerate(after, start=1)
            if self._enabled(name)
        ]

    def _single(self, name: str, why: str) -> Tier:
        return Tier(group=name, deployments=(self._deployment(name, name),), why=why)

    def _deployment(
        self,
        group: str,
        route_name: str,
        *,
        weight: int = 1,
        order: int | None = None,
        with_model: bool = False,
    ) -> Deployment:
        route = self.registry.routes.exact[route_name]
        model = self.registry.catalogue(route.provider)[route.model]
        id_ = f"{group}@{route.provider}" + (f":{model.name}" if with_model else "")
        return self._on(route.provider, model, id_=id_, group=group, weight=weight, order=order)

    def _on(
        self,
        provider_id: str,
        model: Model,
        *,
        id_: str,
        group: str,
        weight: int = 1,
        order: int | None = None,
    ) -> Deployment:
        by_hand = model.residency == "manual" and provider_id in self.registry.derived(_occupied)
        return Deployment(
            id=id_,
            group=group,
            provider=provider_id,
            model=model.name,
            served_as=model.served_as,
            context_length=model.context_length,
            resident=not by_hand,
            weight=weight,
            order=order,
            capabilities=model.capabilities,
        )

    def _place(self, *path: str | int) -> str:
        return str(self.registry.position(path, key=isinstance(path[-1], str)))

    def _enabled(self, route_name: str) -> bool:
        provider_id = self.registry.routes.exact[route_name].provider
        if self.registry.providers[provider_id].enabled:
            return True
        self.steps.append(f"{route_name} left out: provider {provider_id} is disabled")
        return False

    def _claimed(
        self, rule: Rule, target: str, place: str, tiers: list[Tier], *, head: str = ""
    ) -> Route | Refusal:
        unique = _unique(tiers)
        if not unique:
            return self._refuse("nothing enabled is left to answer it")
        if not any(deployment.resident for deployment in unique[0].deployments):
            self.steps.append(f"{unique[0].group} is loaded by hand: until then the next answers")
        return self._route(rule, target, place, unique, head=head)

    def _route(
        self, rule: Rule, target: str, place: str, tiers: tuple[Tier, ...], *, head: str = ""
    ) -> Route:
        return Route(
            name=self.name,
            rule=rule,
            target=target,
            place=place,
            tiers=tiers,
            steps=tuple(self.steps),
            on_context_window=_unique(self._after(head, "context_window_chain")),
            on_content_policy=_unique(self._after(head, "content_policy_chain")),
        )

    def _refuse(self, why: str) -> Refusal:
        self.steps.append(f"{why}: refused")
        nearest = partial(_nearest, self.registry, self.name)
        return Refusal(name=self.name, steps=tuple(self.steps), nearest=nearest)


def _unique(tiers: list[Tier]) -> tuple[Tier, ...]:
    """The first tier of each level of each group."""
    if not tiers:
        return ()
    first: dict[tuple[str, int | None], Tier] = {}
    for tier in tiers:
        first.setdefault((tier.group, tier.deployments[0].order), tier)
    return tuple(first.values())


def _picked(strategy: str, deployments: tuple[Deployment, ...]) -> str:
    shares = ", ".join(f"{member.provider} {member.weight}" for member in deployments)
    return {
        "weighted": f"picked by weight ({shares})",
        "least-busy": "the one with the fewest requests in flight",
        "latency-based-routing": "the one that answered fastest of late",
    }[strategy]


def resident(provider: Provider, model: Model) -> bool:
    """Whether a running server of this provider holds the model without further ado.

    A model loaded by hand is missing only where another one is always loaded in its
    place; a server whose one model is started by hand holds it whenever it runs.
    """
    return model.residency != "manual" or all(
        other.residency != "always" for other in provider.models
    )
