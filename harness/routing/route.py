"""What should happen to a model name: the rule, the tiers, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import MemberDescriptorType


class Rule(StrEnum):
    """Which kind of entry claimed a name, in order of precedence."""

    EXACT = "exact"
    ALIAS = "alias"
    BALANCED = "balanced"
    PATTERN = "pattern"
    CAPABILITY = "capability"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One model on one provider behind the gateway.

    ``id`` is ``group@provider``: stable across restarts, key rotation and edits
    elsewhere; where a group holds a provider twice, ``group@provider:model``.
    ``resident`` is False where the model is loaded by hand, so a healthy provider
    still answers 404 for it. ``context_length`` is in tokens. ``order`` is its level
    within the group, 1 first; None where the group has one level.
    """

    id: str
    group: str
    provider: str
    model: str
    served_as: str
    context_length: int
    resident: bool
    weight: int = 1
    order: int | None = None
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Deployments that share one place in the order; of more than one, ``strategy`` picks."""

    group: str
    deployments: tuple[Deployment, ...]
    why: str
    strategy: str = "weighted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A deployment that is not asked, and why.

    ``by_gateway`` is False where the gateway does not know the reason and would ask it all the
    same: LiteLLM compares the length of a prompt, but knows nothing of capabilities.
    """

    deployment: Deployment
    why: str
    by_gateway: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What should happen to ``name``: tiers in the order they are tried.

    ``target`` is the gateway group the name stands for; it differs from ``name``
    for aliases, capabilities and patterns. ``place`` is ``file:line:column`` of the
    entry that claimed the name, ``steps`` the decision in sentences; both are worked out when
    first read.
    ``on_context_window`` and ``on_content_policy`` are tried, in place of the tiers of other
    groups, when a prompt does not fit the first group or its provider's filter refuses; empty
    where the tiers serve for that too. ``passed_over`` is what a question about one request
    (context, needs, down) has taken out of the tiers.
    """

    name: str
    rule: Rule
    target: str
    place: str
    tiers: tuple[Tier, ...]
    steps: tuple[str, ...]
    on_context_window: tuple[Tier, ...] = ()
    on_content_policy: tuple[Tier, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()

    def __iter__(self) -> Iterator[Deployment]:
        """Every deployment in the order it is tried."""
        return (deployment for tier in self.tiers for deployment in tier.deployments)

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers along the tiers, each once, in order."""
        return tuple(dict.fromkeys(deployment.provider for deployment in self))

    @property
    def own(self) -> tuple[Tier, ...]:
        """The tiers of the first group: its levels."""
        return tuple(tier for tier in self.tiers if tier.group == self.tiers[0].group)

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """The groups tried after the first one, in order."""
        return tuple(tier.group for tier in self.tiers if tier.group != self.tiers[0].group)

    def expected(self, *, down: Collection[str] = ()) -> tuple[Deployment, ...]:
        """Who should answer while the providers in ``down`` are dead; empty means nobody.

        Several deployments mean: one of these, as the tier's strategy picks. A deployment
        whose model is not resident cannot answer and is passed over.
        """
        for tier in self.tiers:
            alive = tuple(d for d in tier.deployments if d.provider not in down and d.resident)
            if alive:
                return alive
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No rule claims ``name``: the gateway must answer with an error, never with a guess.

    ``steps`` are the decision in sentences, ``nearest`` names that were perhaps meant; both are
    worked out when first read.
    """

    name: str
    steps: tuple[str, ...]
    nearest: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()


class _Lazy:
    """A field that may be given as what makes its value from the name, and then is made once.

    Few routes are ever explained, so the sentences wait until they are asked for.
    """

    def __init__(self, slot: MemberDescriptorType) -> None:
        self._slot = slot

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        value = self.held(instance)
        if callable(value):
            value = value(instance.name)
            self._slot.__set__(instance, value)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        self._slot.__set__(instance, value)

    def held(self, instance: Any) -> Any:
        """What lies there now: the value, or what will make it."""
        return self._slot.__get__(instance)


for _class, _fields in ((Route, ("place", "steps")), (Refusal, ("steps", "nearest"))):
    for _field in _fields:
        setattr(_class, _field, _Lazy(getattr(_class, _field)))
