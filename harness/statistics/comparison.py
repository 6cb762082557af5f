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
) -> Comparison:
    """Judge ``figures``, one a run, measured in the `order` of so many blocks.

    Each block gives one logarithm of the ratio of B to A (geometric means of its two runs
    each); the interval is Student's over the blocks, which are taken as independent. It fails
    where the whole interval is worse than ``minimum_effect``, passes where none of it is,
    and is inconclusive otherwise: with two-sided ``confidence`` c, a true effect at or below the
    minimum fails in at most (1 - c) / 2 of all comparisons, and a true effect above it passes in
    as few. Incomplete blocks at the end are left out.

    Raises:
        ValueError: a figure is not a positive number, there is no whole block, or the minimum
            effect is not positive (or not below 1 where smaller is worse).
    """
    if not (minimum_effect > 0 and (larger_is_worse or minimum_effect < 1)):
        raise ValueError(f"a minimum effect of {minimum_effect}: give a share such as 0.05")
    if any(not (figure > 0 and math.isfinite(figure)) for figure in figures):
        raise ValueError("a ratio needs positive, finite figures: a run without one has failed")
    ratios = _log_ratios(figures)
    if not ratios:
        raise ValueError(f"{len(figures)} runs are no whole block of {BLOCK}")
    middle = fmean(ratios)
    low = high = None
    if len(ratios) >= LEAST_BLOCKS:
        reach = t_quantile((1 + confidence) / 2, len(ratios) - 1)
        reach *= stdev(ratios) / math.sqrt(len(ratios))
        low, high = math.expm1(middle - reach), math.expm1(middle + reach)
    verdict, reason = _verdict(low, high, minimum_effect if larger_is_worse else -minimum_effect)
    return Comparison(
        effect=math.expm1(middle),
        low=low,
        high=high,
        blocks=len(ratios),
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


def _verdict(low: float | None, high: float | None, bound: float) -> tuple[Verdict, str]:
    if low is None or high is None:
        return Verdict.INCONCLUSIVE, f"fewer than {LEAST_BLOCKS} blocks give no interval"
    least, most = (low, high) if bound > 0 else (-high, -low)
    said = f"the effect lies between {low:+.1%} and {high:+.1%}"
    if least > abs(bound):
        return Verdict.FAIL, f"{said}, all of it beyond {bound:+.1%}"
    if most < abs(bound):
        return Verdict.PASS, ""
    return Verdict.INCONCLUSIVE, f"{said}, on both sides of {bound:+.1%}: measure more blocks"
