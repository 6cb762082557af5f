"""Quantiles that carry their own error: order statistics, no distribution assumed."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evidence import Verdict
from harness.statistics.beta import beta_cdf

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantile with the order-statistic interval that covers it.

    ``low`` and ``high`` are None where ``n`` samples cannot bound the quantile at the
    asked confidence: 6 samples bound a median at 95 %, 72 bound a p95.
    """

    value: float
    low: float | None
    high: float | None
    n: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both bounds, or None if either is missing."""
        if self.low is None or self.high is None:
            return None
        return (self.low, self.high)


def quantile(
    samples: Sequence[float], q: float, *, confidence: float = 0.95, correlation: float = 1.0
) -> Estimate:
    """Estimate the ``q`` quantile of ``samples`` with a two-sided interval.

    The interval is [x_(l), x_(u)] where l and u are the binomial quantiles of
    Binomial(n, q) at (1 - confidence) / 2 in each tail: the number of samples below
    the true quantile is binomial whatever the distribution (David and Nagaraja,
    Order Statistics, 3rd ed., 7.1). The point estimate interpolates linearly
    between order statistics (Hyndman and Fan type 7).

    Samples of a queue depend on their neighbours, and the interval of independent ones is then
    too narrow: of 95 % it covers half at an autocorrelation of 0.9. ``correlation`` is how many
    of them are worth an independent one (`memory_at`, in order of time): ranks are those of so
    many fewer samples, as by Woodruff (JASA 47, 1952).

    Raises:
        ValueError: no samples, ``q`` or ``confidence`` outside (0, 1), a correlation below 1.
    """
    if not samples:
        raise ValueError("a quantile needs at least one sample")
    if not (0 < q < 1 and 0 < confidence < 1):
        raise ValueError(f"q={q} and confidence={confidence} must lie strictly between 0 and 1")
    if not correlation >= 1:
        raise ValueError(f"{correlation} samples worth an independent one: give at least 1")
    ordered = sorted(samples)
    n = len(ordered)
    low, high = bounding_ranks(n, q, confidence=confidence, correlation=correlation)
    position = q * (n - 1)
    left = math.floor(position)
    right = min(left + 1, n - 1)
    value = ordered[left] + (ordered[right] - ordered[left]) * (position - left)
    return Estimate(
        value=value,
        low=None if low is None else ordered[low - 1],
        high=None if high is None else ordered[high - 1],
        n=n,
    )


def bounding_ranks(
    n: int, q: float, *, confidence: float = 0.95, correlation: float = 1.0
) -> tuple[int | None, int | None]:
    """The ranks, from 1, of the samples that bound the ``q`` quantile; None: none does so surely.

    Of n / ``correlation`` independent samples a binomial number lies below it. Its tails are
    incomplete beta functions (Abramowitz and Stegun 26.5.24), which need no whole number of them.
    """
    worth, tail = n / correlation, (1 - confidence) / 2

    def too_high(rank: int) -> float:
        at = rank * worth / n
        return beta_cdf(1 - q, worth - at + 1, at)

    def too_low(rank: int) -> float:
        at = rank * worth / n
        return beta_cdf(q, at, worth - at + 1)

    ranks = range(1, n + 1)
    low = bisect_right(ranks, tail, key=too_high)
    high = bisect_left(ranks, -tail, key=lambda rank: -too_low(rank)) + 1
    return low or None, high if high <= n else None


def within(estimate: Estimate, bound: float) -> tuple[Verdict, str]:
    """Judge an upper bound: pass if the whole interval is below, fail if all is above.

    An interval that straddles the bound, or that too few samples leave open on the
    side that matters, is inconclusive.
    """
    if estimate.high is not None and estimate.high <= bound:
        return Verdict.PASS, ""
    if estimate.low is not None and estimate.low > bound:
        return Verdict.FAIL, f"the whole interval lies above {bound:g}"
    if estimate.high is None:
        return Verdict.INCONCLUSIVE, f"{estimate.n} samples cannot bound this quantile from above"
    return Verdict.INCONCLUSIVE, f"the interval straddles {bound:g}"
