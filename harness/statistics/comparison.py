"""Is B slower than A: two settings measured in turn, and a verdict that may be "cannot say".

Measured one after the other, a machine that warms up or a neighbour that wakes looks like an
effect. Blocks of A B B A (and B A A B) cancel what drifts in a straight line within a block, and
blocks are compared only with themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from harness.evidence import Verdict
from harness.statistics.share import memory
from harness.statistics.student import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK = 4
LEAST_BLOCKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How much larger B's figure is than A's, as a share of A's: 0.1 is ten per cent more.

    ``low`` and ``high`` are None below three blocks.
    """

    effect: float
    low: float | None
    high: float | None
    blocks: int
    confidence: float
    verdict: Verdict
    reason: str

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both bounds, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def order(blocks: int) -> str:
    """The order to measure in: "ABBA" and "BAAB" in turn, so that neither always comes first.

    Raises:
        ValueError: no blocks.
    """
    if blocks < 1:
        raise ValueError(f"{blocks} blocks: give at least 1, and {LEAST_BLOCKS} for an interval")
    return "".join("ABBA" if number % 2 == 0 else "BAAB" for number in range(blocks))


def compare(
    figures: Sequence[float],
    *,
    minimum_effect: float,
    confidence: float = 0.98,
    larger_is_worse: bool = True,
    family: int = 1,
) -> Comparison:
    """Judge ``figures``, one a run, measured in the `order` of so many blocks.

    Each block gives one logarithm of the ratio of B to A (geometric means of its two runs
    each); the interval is Student's over the blocks, which are taken as independent. It fails
    where the whole interval is worse than ``minimum_effect``, passes where none of it is,
    and is inconclusive otherwise: with two-sided ``confidence`` c, a true effect at or below the
    minimum fails in at most (1 - c) / 2 of all comparisons, and a true effect above it passes in
    as few. Incomplete blocks at the end are left out.

    Where one of a ``family`` of so many figures is enough to fail, each fails by an interval of
    its share of the chance to err (Bonferroni). All must pass, so passing needs no correction
    (intersection-union test: Berger, Technometrics 24, 1982).

    Raises:
        ValueError: a figure is not a positive number, there is no whole block, or the minimum
            effect is not positive (or not below 1 where smaller is worse).
    """
    _check(minimum_effect, figures, larger_is_worse=larger_is_worse)
    ratios = _log_ratios(figures)
    if not ratios:
        raise ValueError(f"{len(figures)} runs are no whole block of {BLOCK}")
    spread = stdev(ratios) / math.sqrt(len(ratios)) if len(ratios) >= LEAST_BLOCKS else None
    return _judged(
        fmean(ratios),
        spread,
        len(ratios) - 1,
        blocks=len(ratios),
        confidence=confidence,
        family=family,
        bound=minimum_effect if larger_is_worse else -minimum_effect,
    )


def compare_apart(
    before: Sequence[float],
    after: Sequence[float],
    *,
    minimum_effect: float,
    confidence: float = 0.98,
    larger_is_worse: bool = True,
    family: int = 1,
) -> Comparison:
    """Judge figures of successive windows of two runs that were not measured in turn.

    The difference of the mean logarithms has Welch's interval (Biometrika 34, 1947), each side
    counting as many windows as their `memory` leaves. What changed between the two runs on the
    machine is part of the effect: no statistic can tell them apart, and only `compare` removes it.

    Raises:
        ValueError: as for `compare`, or a side has no window.
    """
    _check(minimum_effect, [*before, *after], larger_is_worse=larger_is_worse)
    if not before or not after:
        raise ValueError("a side without a window cannot be compared")
    sides = [[math.log(figure) for figure in side] for side in (before, after)]
    worth = [len(side) / memory(side) for side in sides]
    spread, freedom = None, 0.0
    if min(worth) >= LEAST_BLOCKS:
        parts = [stdev(side) ** 2 / n for side, n in zip(sides, worth, strict=True)]
        spread = math.sqrt(sum(parts))
        shares = sum(part**2 / (n - 1) for part, n in zip(parts, worth, strict=True))
        freedom = sum(parts) ** 2 / shares if shares else sum(worth) - 2
    return _judged(
        fmean(sides[1]) - fmean(sides[0]),
        spread,
        freedom,
        blocks=int(min(worth)),
        confidence=confidence,
        family=family,
        bound=minimum_effect if larger_is_worse else -minimum_effect,
    )


def _check(minimum_effect: float, figures: Sequence[float], *, larger_is_worse: bool) -> None:
    if not (minimum_effect > 0 and (larger_is_worse or minimum_effect < 1)):
        raise ValueError(f"a minimum effect of {minimum_effect}: give a share such as 0.05")
    if any(not (figure > 0 and math.isfinite(figure)) for figure in figures):
        raise ValueError("a ratio needs positive, finite figures: a run without one has failed")


def _judged(
    middle: float,
    spread: float | None,
    freedom: float,
    *,
    blocks: int,
    confidence: float,
    family: int,
    bound: float,
) -> Comparison:
    """By Student's interval around a mean logarithm with this standard error."""
    passing = failing = None
    if spread is not None:
        passing, failing = (
            tuple(
                math.expm1(middle + sign * t_quantile(1 - tail, freedom) * spread)
                for sign in (-1, 1)
            )
            for tail in ((1 - confidence) / 2, (1 - confidence) / 2 / family)
        )
    verdict, reason = _verdict(passing, failing, bound)
    return Comparison(
        effect=math.expm1(middle),
        low=passing[0] if passing else None,
        high=passing[1] if passing else None,
        blocks=blocks,
        confidence=confidence,
        verdict=verdict,
        reason=reason,
    )


def _log_ratios(figures: Sequence[float]) -> list[float]:
    ratios = []
    for number in range(len(figures) // BLOCK):
        first, second, third, fourth = map(math.log, figures[number * BLOCK : (number + 1) * BLOCK])
        ratio = (second + third - first - fourth) / 2
        ratios.append(ratio if number % 2 == 0 else -ratio)
    return ratios


def _verdict(
    passing: tuple[float, ...] | None, failing: tuple[float, ...] | None, bound: float
) -> tuple[Verdict, str]:
    if passing is None or failing is None:
        return Verdict.INCONCLUSIVE, f"fewer than {LEAST_BLOCKS} blocks give no interval"
    least = failing[0] if bound > 0 else -failing[1]
    most = passing[1] if bound > 0 else -passing[0]
    if least > abs(bound):
        said = f"the effect lies between {failing[0]:+.1%} and {failing[1]:+.1%}"
        return Verdict.FAIL, f"{said}, all of it beyond {bound:+.1%}"
    if most < abs(bound):
        return Verdict.PASS, ""
    said = f"the effect lies between {passing[0]:+.1%} and {passing[1]:+.1%}"
    return Verdict.INCONCLUSIVE, f"{said}, on both sides of {bound:+.1%}: measure more blocks"
