"""A clause of the contract: its id, its tier, what it judges, and how to register one."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from harness.answer import Answer
    from harness.contract.conditions import Condition

Flaw = tuple[str, str]
"""What is wrong, and where in the answer (``event 3``, ``body``, ``header content-type``)."""

Judge = Callable[..., Iterable[Flaw]]


class Tier(StrEnum):
    """How much a clause weighs."""

    MUST = "must"
    """SDKs break without it."""
    SHOULD = "should"
    """The API reference says so; clients tolerate its absence."""
    RECORD = "record"
    """Contested: written down, never blocking."""


class Lane(StrEnum):
    """Which traffic a clause is meant for."""

    SCENARIO = "scenario"
    """The deterministic recipes of `harness.contract.scenarios`."""
    FUZZ = "fuzz"
    """Generated requests; needs the optional schema validator."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One breach: which check, what is wrong, and where (scenario and place in the answer)."""

    check: str
    message: str
    where: str

    def __str__(self) -> str:
        return f"{self.message} ({self.where})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A clause of the contract.

    A check either judges each answer by itself, or (``across``) the answers of
    several scenarios against one another. ``on`` names the scenarios it judges; an
    empty ``on`` means every answer that meets ``condition``, so such a check may
    run over any recorded traffic. ``about`` is the docstring of the judge.
    """

    id: str
    tier: Tier
    title: str
    about: str
    source: str
    condition: Condition
    on: tuple[str, ...]
    across: bool
    lane: Lane
    judge: Judge

    def one(self, answer: Answer, where: str) -> list[Violation]:
        """Judge one answer that meets the condition; ``where`` names it in the violations."""
        return self._violations(self.judge(answer), where)

    def together(self, answers: Iterable[Answer], where: str) -> list[Violation]:
        """Judge the answers of the scenarios in ``on``, in that order, against one another."""
        return self._violations(self.judge(*answers), where)

    def _violations(self, flaws: Iterable[Flaw], where: str) -> list[Violation]:
        return [Violation(self.id, message, f"{where}: {place}") for message, place in flaws]


_registry: dict[str, Check] = {}


class UnknownCheckError(LookupError):
    """No check has that id."""


def check(
    check_id: str,
    *,
    tier: Tier,
    title: str,
    source: str,
    condition: Condition,
    on: tuple[str, ...] = (),
    across: bool = False,
    lane: Lane = Lane.SCENARIO,
) -> Callable[[Judge], Judge]:
    """Register the decorated function as the judge of ``check_id``.

    The function takes an Answer (``across``: one per scenario in ``on``) and yields
    flaws; its docstring explains the clause. ``title`` is the expectation in one
    sentence, ``source`` the document that states it. Raises ValueError for an id
    that is taken, or a judge without a docstring.
    """

    def register(judge: Judge) -> Judge:
        about = inspect.getdoc(judge)
        if check_id in _registry:
            raise ValueError(f"two checks are called {check_id}: rename one of them")
        if not about:
            raise ValueError(f"{check_id} explains nothing: give its judge a docstring")
        _registry[check_id] = Check(
            id=check_id,
            tier=tier,
            title=title,
            about=about,
            source=source,
            condition=condition,
            on=on,
            across=across,
            lane=lane,
            judge=judge,
        )
        return judge

    return register


@cache
def modules() -> tuple[ModuleType, ...]:
    """Return every module of checks; importing one registers what it holds."""
    package = importlib.import_module("harness.contract.checks")
    found = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    return tuple(importlib.import_module(module.name) for module in found)


def checks(lane: Lane | None = Lane.SCENARIO) -> tuple[Check, ...]:
    """Return every registered check of ``lane`` (None: of all lanes), sorted by id."""
    modules()
    chosen = (c for c in _registry.values() if lane is None or c.lane is lane)
    return tuple(sorted(chosen, key=lambda c: c.id))


def find(check_id: str) -> Check:
    """Return the check called ``check_id``.

    Raises UnknownCheckError, which names the nearest ids.
    """
    modules()
    try:
        return _registry[check_id]
    except KeyError:
        near = get_close_matches(check_id, _registry, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}?" if near else "Look at the list of ids."
        raise UnknownCheckError(f"No check is called {check_id!r}. {hint}") from None


def explain(check_id: str) -> str:
    """Return what a person needs to know of a check: rule, tier, source, what it judges.

    ``check_id`` may carry the prefix ``contract.`` it has in evidence. Raises
    UnknownCheckError.
    """
    found = find(check_id.removeprefix("contract."))
    judged = ", ".join(found.on) if found.on else "every answer"
    return (
        f"{found.id} ({found.tier})\n"
        f"{found.title}.\n\n"
        f"{found.about}\n\n"
        f"Judges: {judged}, given {found.condition.needs}.\n"
        f"Source: {found.source}.\n"
    )
