"""What should happen to a model name: the rule, the tiers, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


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
    elsewhere, and unique because a group holds a provider at most once.
    ``resident`` is False where the model is loaded by hand, so a healthy provider
    still answers 404 for it. ``context_length`` is in tokens.
    """

    id: str
    group: str
    provider: str
    model: str
    served_as: str
    context_length: int
    resident: bool
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Deployments that share one place in the order; more than one are picked by weight."""

    group: str
    deployments: tuple[Deployment, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What should happen to ``name``: tiers in the order they are tried.

    ``target`` is the gateway group the name stands for; it differs from ``name``
    for aliases, capabilities and patterns. ``place`` is ``file:line:column`` of the
    entry that claimed the name, ``steps`` the decision in sentences.
    """

    name: str
    rule: Rule
    target: str
    place: str
    tiers: tuple[Tier, ...]
    steps: tuple[str, ...]

    def __iter__(self) -> Iterator[Deployment]:
        """Every deployment in the order it is tried."""
        return (deployment for tier in self.tiers for deployment in tier.deployments)

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers along the tiers, each once, in order."""
        return tuple(dict.fromkeys(deployment.provider for deployment in self))

    def expected(self, *, down: Collection[str] = ()) -> tuple[Deployment, ...]:
        """Who should answer while the providers in ``down`` are dead; empty means nobody.

        Several deployments mean: one of these, by weight. A deployment whose model is
        not resident cannot answer and is passed over.
        """
        for tier in self.tiers:
            alive = tuple(d for d in tier.deployments if d.provider not in down and d.resident)
            if alive:
                return alive
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No rule claims ``name``: the gateway must answer with an error, never with a guess."""

    name: str
    steps: tuple[str, ...]
    nearest: tuple[str, ...] = ()
