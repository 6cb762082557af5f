"""The highest level of load that keeps a promise, found by bisection that noise cannot mislead.

Plain bisection is as good as its worst answer: one bad sample, and the rest of the search looks in
the wrong half. Here every visit to a level is a vote that may be wrong with a known probability,
and a search ends only when the levels at both ends of what is left were visited again, at
another time with other requests, and had two votes more for than against. A vote that is
contradicted takes the search back to the wider interval: a noisy binary search that backtracks
(Feige, Raghavan, Peleg and Upfal, SIAM Journal on Computing 23, 1994). What it finds is an
interval, never a point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.evidence import Verdict
from harness.load.finding.level import Stretch, Visit, judge
from harness.load.finding.looking import MOST_UNDER_WAY
from harness.load.profiles.profile import MOST_RATE

if TYPE_CHECKING:
    from harness.load.goodput import Objective

Play = Callable[[float, float, int], Stretch]
"""Puts a level of load on for so many seconds, with the requests of this seed."""

VOTES = 2
ROUNDS = 4
"""A visit measures once, and up to three times more, each as long as all before it."""
MOST_VISITS = 5
_ENOUGH = 100
"""Requests a visit begins with, where the level says how many come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to search: levels between ``least`` and ``most``, each ``resolution`` above the last.

    Raises:
        ValueError: nothing to search, with what to give instead.
    """

    slo: tuple[Objective, ...]
    least: float
    most: float
    resolution: float = 0.1
    confidence: float = 0.95
    whole: bool = False
    """Levels are whole numbers (users), not rates."""
    stretch_s: float = 8.0
    """The first measurement of a visit; a visit takes at most eight times that."""
    budget_s: float = 600.0

    def __post_init__(self) -> None:
        if not (0 < self.least < self.most and math.isfinite(self.most)):
            raise ValueError(
                f"levels from {self.least:g} to {self.most:g}: give 0 < least < most, both finite"
            )
        if self.whole and self.least < 1:
            raise ValueError(f"{self.least:g} users: give at least 1")
        limit = MOST_UNDER_WAY if self.whole else MOST_RATE
        if self.most > limit:
            raise ValueError(
                f"levels up to {self.most:g}: one process loads with at most {limit:g}; for more "
                "there are the profiles in loadtests/, with --processes"
            )
        if not 0.01 <= self.resolution <= 1:
            raise ValueError(f"a resolution of {self.resolution:g}: give from 0.01 to 1")
        if not 0.5 < self.confidence < 1:
            raise ValueError(f"a confidence of {self.confidence:g}: give more than 0.5, below 1")
        if not (0 < self.stretch_s <= self.budget_s and math.isfinite(self.budget_s)):
            raise ValueError(
                f"{self.stretch_s:g} s a measurement of {self.budget_s:g} s in all: give 0 < "
                "measurement <= budget"
            )
        if all(objective.q is None for objective in self.slo):
            raise ValueError(
                "no objective has a percentile: of a level one asks e.g. 'p95 ttft < 500ms'"
            )

    @property
    def levels(self) -> tuple[float, ...]:
        """All levels that may be visited, ascending, in equal ratios."""
        ratio = math.log(self.most / self.least)
        steps = max(1, math.ceil(ratio / math.log1p(self.resolution)))
        found = [self.least * math.exp(ratio * step / steps) for step in range(steps)]
        found.append(self.most)
        if self.whole:
            return tuple(sorted({float(round(level)) for level in found}))
        return tuple(found)

    @property
    def error(self) -> float:
        """How often one visit may err to either side for `confidence` in the bracket.

        A walk that errs with probability p ends two votes on the wrong side with probability
        p² / (p² + (1 - p)²) (gambler's ruin); there are two ends.
        """
        odds = math.sqrt((1 - self.confidence) / (1 + self.confidence))
        return odds / (1 + odds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Between which levels the promise breaks."""

    held: float | None
    """The highest level that held below all that broke; None: none did."""
    broke: float | None
    """The lowest that broke; None: none did."""
    sure: bool
    """Whether both were visited often enough for the confidence.

    Where none held the lowest level itself must have broken, and where none broke the highest
    must have held."""
    open: tuple[float, ...]
    """Levels between the two that were visited and left undecided."""

    @property
    def text(self) -> str:
        """In a sentence."""
        if self.held is None and self.broke is None:
            return "no level could be decided"
        if self.held is None and not self.sure:
            return f"{self.broke:.4g} does not hold; whether less does is not sure"
        if self.held is None:
            return f"not even {self.broke:.4g} holds"
        if self.broke is None:
            return f"{self.held:.4g} holds, and nothing above it broke: a lower bound"
        return f"{self.held:.4g} holds, {self.broke:.4g} does not"


@dataclass(slots=True)
class _Votes:
    level: float
    sum: int = 0
    visits: int = 0
    undecided: int = 0
    saturated: int = 0

    @property
    def strength(self) -> int:
        """Votes more for than against, less the visits that could not say.

        Where a second visit cannot repeat the first, the level is too close to the limit to be
        an end.
        """
        return abs(self.sum) - self.undecided


def search(
    plan: Plan,
    play: Play,
    *,
    seed: int,
    visits: Sequence[Visit] = (),
    note: Callable[[Visit], None] = lambda _: None,
) -> tuple[Visit, ...]:
    """Visit levels until the bracket is sure, or the budget spent. Returns all visits.

    ``visits`` were made before: a search that was interrupted goes on from there. ``note`` gets
    each new one as soon as it is made.
    """
    made = list(visits)
    while (level := following(plan, made)) is not None:
        left_s = plan.budget_s - sum(visit.took_s for visit in made)
        if left_s < plan.stretch_s:
            break
        made.append(visit(plan, play, level, left_s=left_s, seed=seed * 1000 + len(made)))
        note(made[-1])
    return tuple(made)


def visit(plan: Plan, play: Play, level: float, *, left_s: float, seed: int) -> Visit:
    """Measure at ``level`` until it is decided, `ROUNDS` times at most, within ``left_s``.

    The chance to err is divided evenly over the rounds (Pocock's boundary would share it more
    cleverly; this one needs no assumption on how the rounds depend on one another).
    """
    stretches: list[Stretch] = []
    seconds = plan.stretch_s if plan.whole else max(plan.stretch_s, _ENOUGH / level)
    while True:
        stretches.append(play(level, min(seconds, left_s), seed * ROUNDS + len(stretches)))
        left_s -= stretches[-1].took_s
        seen = judge(level, stretches, plan.slo, error=plan.error / ROUNDS)
        if seen.verdict is not Verdict.INCONCLUSIVE or len(stretches) == ROUNDS:
            return seen
        if stretches[-1].excuse or left_s < plan.stretch_s:
            return replace(seen, short="client" if stretches[-1].excuse else "budget")
        seconds = sum(stretch.seconds for stretch in stretches)


def following(plan: Plan, visits: Sequence[Visit]) -> float | None:
    """The level to visit next; None: the search is over. A pure function."""
    votes = _count(plan, visits)
    held, broke = _ends(votes)
    low = -1 if held is None else held
    high = len(votes) if broke is None else broke
    undecided = [at for at in range(low + 1, high) if votes[at].undecided]
    # Beside a level that cannot be decided lie others: look on both sides, not between them.
    gaps = [(low, high)] if not undecided else [(low, undecided[0]), (undecided[-1], high)]
    for below, above in sorted(gaps, key=lambda gap: gap[0] - gap[1]):
        fresh = [at for at in range(below + 1, above) if votes[at].visits < MOST_VISITS]
        if fresh:
            return votes[fresh[len(fresh) // 2]].level
    ends = [
        votes[at]
        for at in (broke, held)
        if at is not None and votes[at].strength < VOTES and votes[at].visits < MOST_VISITS
    ]
    return min(ends, key=lambda end: end.visits).level if ends else None


def found(plan: Plan, visits: Sequence[Visit]) -> Found:
    """What ``visits`` together say. A pure function."""
    votes = _count(plan, visits)
    held, broke = _ends(votes)
    between = votes[0 if held is None else held + 1 : len(votes) if broke is None else broke]
    ends = [at for at in (held, broke) if at is not None]
    return Found(
        held=None if held is None else votes[held].level,
        broke=None if broke is None else votes[broke].level,
        sure=all(votes[at].strength >= VOTES for at in ends)
        and (broke == 0 if held is None else True)
        and (held == len(votes) - 1 if broke is None else True),
        open=tuple(one.level for one in between if one.visits),
    )


def _count(plan: Plan, visits: Sequence[Visit]) -> list[_Votes]:
    votes = {level: _Votes(level) for level in plan.levels}
    for seen in visits:
        if (one := votes.get(seen.level)) is not None:
            one.visits += 1
            one.sum += (seen.verdict is Verdict.PASS) - (seen.verdict is Verdict.FAIL)
            # What ended early says nothing; a client that saturates twice will go on to.
            one.saturated += seen.short == "client"
            one.undecided += seen.verdict is Verdict.INCONCLUSIVE and (
                not seen.short or (seen.short == "client" and one.saturated > 1)
            )
    return list(votes.values())


def _ends(votes: Sequence[_Votes]) -> tuple[int | None, int | None]:
    """The levels that hold and break next to the cut that most votes agree with.

    Holding is taken to be monotone: below the cut all levels hold, above it none. Of equal cuts
    the lowest counts, which promises least.
    """
    agreed = -sum(one.sum for one in votes)
    best, cut = agreed, 0
    for at, one in enumerate(votes, 1):
        agreed += 2 * one.sum
        if agreed > best:
            best, cut = agreed, at
    decided = [at for at, one in enumerate(votes) if one.strength > 0]
    held = next((at for at in reversed(decided) if at < cut and votes[at].sum > 0), None)
    broke = next((at for at in decided if at >= cut and votes[at].sum < 0), None)
    return held, broke
