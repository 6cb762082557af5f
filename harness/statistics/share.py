"""How large a share is when neighbours tend to share their fate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from operator import mul
from statistics import fmean
from typing import TYPE_CHECKING

from harness.statistics.beta import beta_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST = 400
"""Longer series are averaged in batches first: the memory of a series is not in its details."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of ``n`` with its interval, as sure as that many ``effective`` samples make it."""

    value: float
    low: float
    high: float
    n: int
    effective: float

    @property
    def interval(self) -> tuple[float, float]:
        """Both bounds."""
        return self.low, self.high


def share(
    held: Sequence[bool], *, confidence: float = 0.95, correlation: float | None = None
) -> Share:
    """The share of ``held`` that is true, with a two-sided interval.

    The interval is that of Clopper and Pearson (Biometrika 26, 1934) for as many independent
    samples as these are worth: their number divided by ``correlation``, by default `memory`.

    Raises:
        ValueError: nothing is held, or a confidence outside (0, 1).
    """
    if not held:
        raise ValueError("a share needs at least one sample")
    if correlation is None:
        correlation = memory([float(each) for each in held])
    return share_of(sum(held), len(held), confidence=confidence, correlation=correlation)


def share_of(good: int, n: int, *, confidence: float = 0.95, correlation: float = 1.0) -> Share:
    """The share that ``good`` are of ``n``, as `share` has it where only their numbers are kept.

    Raises:
        ValueError: none at all, or a confidence outside (0, 1).
    """
    if n < 1:
        raise ValueError("a share needs at least one sample")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence} must lie strictly between 0 and 1")
    value, worth = good / n, n / correlation
    tail = (1 - confidence) / 2
    hits, misses = value * worth, (1 - value) * worth
    return Share(
        value=value,
        low=beta_quantile(tail, hits, misses + 1) if hits else 0.0,
        high=beta_quantile(1 - tail, hits + 1, misses) if misses else 1.0,
        n=n,
        effective=worth,
    )


def memory(series: Sequence[float]) -> float:
    """How many samples of ``series``, in order of time, are worth one independent sample.

    The factor by which neighbours inflate the variance of the mean (integrated autocorrelation
    time), at least 1, with the autocovariances summed in pairs for as long as the sums are
    positive and fall (initial monotone sequence: Geyer, Statistical Science 7, 1992), and what
    is lost by taking the mean of the same series given back (Sokal, Monte Carlo Methods in
    Statistical Mechanics, 1997, section 3).
    """
    mean = fmean(series) if series else 0.0
    variance = fmean([(value - mean) ** 2 for value in series]) if series else 0.0
    if variance <= 0:
        return 1.0
    batch = math.ceil(len(series) / _MOST)
    means = [
        fmean(series[begin : begin + batch]) for begin in range(0, len(series) - batch + 1, batch)
    ]
    middle, n = fmean(means), len(means)
    centred = [value - middle for value in means]

    def covariance(lag: int) -> float:
        return float(sum(map(mul, centred, islice(centred, lag, None)))) / n

    total, least, window = -covariance(0), math.inf, 1
    for lag in range(0, n - 1, 2):
        least = min(least, covariance(lag) + covariance(lag + 1))
        if least <= 0:
            break
        total += 2 * least
        window += 4
    unbiased = batch * total / variance * (1 + window / n)
    return max(1.0, min(unbiased, float(len(series))))


def memory_at(series: Sequence[float], q: float) -> float:
    """How many samples of ``series``, in order of time, are worth one where its ``q`` quantile is.

    The `memory` of which samples lie above it: what the error of a quantile follows from. Of
    heavy tails that is known where the memory of the values themselves is not.
    """
    if not series:
        return 1.0
    bound = sorted(series)[max(0, math.ceil(q * len(series)) - 1)]
    return memory([float(value > bound) for value in series])
