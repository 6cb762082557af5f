"""Names to deployments: exact, then pattern, then capability, then refusal."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from harness.registry.patterns import patterns
from harness.routing.narrow import narrow
from harness.routing.route import Refusal, Route, Rule, Tier
from harness.routing.table import Table

if TYPE_CHECKING:
    from collections.abc import Collection

    from harness.registry import Registry
    from harness.registry.models import Balancer, CapabilityTarget, Member, Model, Provider
    from harness.registry.patterns import Claim
    from harness.routing.route import Deployment


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
    resolver = registry.derived(_Resolver)
    found = resolver.answers.get(name)
    if found is None:
        found = resolver.answer(name)
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


def _listed(registry: Registry) -> tuple[str, ...]:
    names = registry.derived(_Resolver).table.names
    return tuple(name for name in names if isinstance(resolve(registry, name), Route))


class _Resolver:
    """Resolves the names of one registry, and says how when asked.

    The sentences are told by resolving once more: few answers are ever explained.
    """

    def __init__(self, registry: Registry) -> None:
        self.table = Table(registry)
        self.answers = self.table.answers
        # What makes these fields of an answer; the same for all, or each would hold its own.
        self.place: Any = self._place
        self.steps: Any = self._steps
        self.nearest: Any = self.table.nearest

    def answer(self, name: str) -> Route | Refusal:
        found = _Resolution(self, name).decide()
        if name in self.table.names:
            self.answers[name] = found
        return found

    def _place(self, name: str) -> str:
        return self._told(name).place

    def _steps(self, name: str) -> tuple[str, ...]:
        return tuple(self._told(name).steps)

    def _told(self, name: str) -> _Resolution:
        resolution = _Resolution(self, name, tell=True)
        resolution.decide()
        return resolution


class _Resolution:
    """One name on its way through the rules."""

    def __init__(self, by: _Resolver, name: str, *, tell: bool = False) -> None:
        self.by = by
        self.table = by.table
        self.name = name
        self.tell = tell
        self.place = ""
        self.steps: list[str] = []

    def decide(self) -> Route | Refusal:
        registry, name = self.table.registry, self.name
        if name in self.table.own:
            return self._exact()
        self._say("not an exact name")
        if name in registry.routes.aliases:
            return self._alias(registry.routes.aliases[name])
        if name in registry.load_balancing:
            return self._balanced(registry.load_balancing[name])
        found = self._pattern()
        if not isinstance(found, str):
            return found
        if name in registry.capabilities:
            return self._capability(registry.capabilities[name])
        self._say("not a capability")
        return self._refuse(found or "no rule claims it")

    def _exact(self) -> Route | Refusal:
        self._claimed_at("routes", "exact", self.name)
        self._say("exact name ({place})")
        return self._headed(Rule.EXACT, self.name)

    def _alias(self, target: str) -> Route | Refusal:
        self._claimed_at("routes", "aliases", self.name)
        self._say("alias of {0} ({place})", target)
        return self._headed(Rule.ALIAS, target)

    def _balanced(self, balancer: Balancer) -> Route | Refusal:
        self._claimed_at("load_balancing", self.name)
        self._say("load-balanced group, {0} ({place})", balancer.strategy)
        members = [member for member in balancer.members if self._enabled(member.route)]
        shared = Counter(self.table.exact[member.route].provider for member in members)
        levels: defaultdict[tuple[bool, int], list[Member]] = defaultdict(list)
        for member in members:
            levels[self.table.registry.level(member)].append(member)
        tiers = []
        for order, level in enumerate(sorted(levels), start=1):
            deployments = tuple(
                self.table.deployment(
                    self.name,
                    member.route,
                    weight=member.weight,
                    order=order if len(levels) > 1 else None,
                    with_model=shared[self.table.exact[member.route].provider] > 1,
                )
                for member in levels[level]
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
            if len(levels[self.table.registry.level(member)]) > 1
        ]
        tiers += [
            self._single(name, f"fallback {number} of the group")
            for number, name in enumerate(balancer.fallbacks, start=1)
            if self._enabled(name)
        ]
        # A group of which nobody is left is no group: then its name stands for a fallback.
        target = self.name if members or not tiers else tiers[0].group
        return self._answered(Rule.BALANCED, target, tiers)

    def _pattern(self) -> Route | Refusal | str:
        """What the first pattern says that has the name, else why the first one declined."""
        declined = ""
        for claim in patterns(self.table.registry).claims(self.name):
            field_name = "match" if claim.pattern.match is not None else "regex"
            self._claimed_at("routes", "patterns", claim.position, field_name)
            how = "longest matching pattern" if claim.is_open else "pattern that spells the name"
            self._say("{0} is {1} ({place})", how, claim.pattern.text)
            if claim.pattern.provider is None:
                return self._to_route(claim)
            found = self._catalogue(claim)
            if isinstance(found, Route):
                return found
            declined = declined or found
        if not declined:
            self._say("matches no pattern")
        return declined

    def _to_route(self, claim: Claim) -> Route | Refusal:
        target = claim.pattern.route or ""
        if not claim.is_open:
            self._say("it is answered as {0}", target)
            return self._headed(Rule.PATTERN, target)
        group = f"{claim.text}*"
        if not self._enabled(target):
            return self._answered(Rule.PATTERN, group, [])
        deployment = self.table.deployment(group, target)
        self._say("every match is answered by {0} on {1}", target, deployment.provider)
        self._say("no chain: LiteLLM looks fallbacks up by the name the client sent")
        tier = Tier(group=group, deployments=(deployment,), why="target of the pattern")
        return self._answered(Rule.PATTERN, group, [tier])

    def _catalogue(self, claim: Claim) -> Route | str:
        """The model of a provider's catalogue, or why it is not there."""
        provider, wanted = claim.pattern.provider or "", claim.model or ""
        model = self.table.model(provider, wanted)
        if model is None:
            return f"{provider} has no model {wanted} in its catalogue"
        if provider not in self.table.enabled:
            return f"provider {provider} is disabled"
        deployment = self.table.on(provider, model, self.name)
        tier = Tier(group=self.name, deployments=(deployment,), why="named in the catalogue")
        return self._route(Rule.PATTERN, self.name, (tier,))

    def _capability(self, targets: tuple[CapabilityTarget, ...]) -> Route | Refusal:
        self._claimed_at("capabilities", self.name)
        ordered = sorted(targets, key=lambda target: target.priority)
        ranked = ", ".join(f"{target.priority} {target.route}" for target in ordered)
        self._say("capability ({place}): {0}", ranked)
        tiers = [tier for target in ordered for tier in self._chain(target.route)]
        return self._answered(Rule.CAPABILITY, tiers[0].group if tiers else "", tiers)

    def _headed(self, rule: Rule, head: str) -> Route | Refusal:
        return self._answered(rule, head, self._chain(head))

    def _chain(self, head: str) -> list[Tier]:
        """``head`` and what its chain tries after it, disabled providers left out."""
        first = [self.table.own[head]] if self._enabled(head) else []
        entry = self.table.chained.get(head)
        if entry is None or entry.chain is None:
            return first
        return [*first, *self._after(head, entry.chain)]

    def _after(self, head: str, chain: str) -> list[Tier]:
        """What a chain tries after ``head``."""
        return [
            self._single(name, f"fallback {number} of chain {chain}")
            for number, name in enumerate(self.table.registry.follows(head, chain), start=1)
            if self._enabled(name)
        ]

    def _single(self, name: str, why: str) -> Tier:
        return Tier(group=name, deployments=self.table.own[name].deployments, why=why)

    def _enabled(self, name: str) -> bool:
        if name not in self.table.disabled:
            return True
        provider = self.table.exact[name].provider
        self._say("{0} left out: provider {1} is disabled", name, provider)
        return False

    def _answered(self, rule: Rule, target: str, tiers: list[Tier]) -> Route | Refusal:
        unique = _unique(tiers)
        if not unique:
            return self._refuse("nothing enabled is left to answer it")
        if self.tell and not any(deployment.resident for deployment in unique[0].deployments):
            self._say("{0} is loaded by hand: until then the next answers", unique[0].group)
        return self._route(rule, target, unique)

    def _route(self, rule: Rule, target: str, tiers: tuple[Tier, ...]) -> Route:
        head = self.table.chained.get(target)
        long = head.context_window_chain if head else None
        filtered = head.content_policy_chain if head else None
        return Route(
            name=self.name,
            rule=rule,
            target=target,
            place=self.by.place,
            tiers=tiers,
            steps=self.by.steps,
            on_context_window=_unique(self._after(target, long)) if long else (),
            on_content_policy=_unique(self._after(target, filtered)) if filtered else (),
        )

    def _refuse(self, why: str) -> Refusal:
        self._say("{0}: refused", why)
        return Refusal(name=self.name, steps=self.by.steps, nearest=self.by.nearest)

    def _claimed_at(self, *path: str | int) -> None:
        """The entry at ``path`` decides, as far as is known so far."""
        if self.tell:
            key = isinstance(path[-1], str)
            self.place = str(self.table.registry.position(path, key=key))

    def _say(self, text: str, *parts: str) -> None:
        if self.tell:
            self.steps.append(text.format(*parts, place=self.place))


def _unique(tiers: list[Tier]) -> tuple[Tier, ...]:
    """The first tier of each level of each group."""
    if len(tiers) < 2:
        return tuple(tiers)
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
