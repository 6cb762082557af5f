"""Intervals for measurements that depend on their neighbours: the block bootstrap.

Latencies of one run are no independent samples: a stall delays many requests, a queue carries
over. Drawing single samples then gives intervals that are too narrow. Drawing blocks keeps what
neighbours have in common.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LEAST_BLOCKS = 5


class Blocks(StrEnum):
    """How blocks are drawn."""

    MOVING = "moving"
    """Of one length, from anywhere in the series (Kuensch, Annals of Statistics 17, 1989)."""
    STATIONARY = "stationary"
    """Of geometric length, around the end to the beginning (Politis and Romano, JASA 89, 1994)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrapped:
    """A statistic of a series with its interval.

    ``low`` and ``high`` are None where the series is shorter than five blocks: then it says too
    little about how it varies for any interval to mean what it claims.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    block: float
    """The (mean) length of a block, in samples."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both bounds, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def bootstrap(
    series: Sequence[float],
    statistic: Callable[[Sequence[float]], float],
    *,
    seed: int,
    blocks: Blocks = Blocks.STATIONARY,
    block: float | None = None,
    confidence: float = 0.95,
    resamples: int = 999,
) -> Bootstrapped:
    """Estimate ``statistic`` of ``series``, which is in order of time, with a percentile interval.

    ``block`` is the (mean) length of a block; by default `block_length` chooses it. The same
    seed gives the same interval.

    Raises:
        ValueError: an empty series, a block shorter than 1 or longer than the series, or a
            confidence outside (0, 1).
    """
    n = len(series)
    if not n:
        raise ValueError("a statistic needs at least one sample")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence} must lie strictly between 0 and 1")
    length = block_length(series) if block is None else block
    if not 1 <= length <= n:
        raise ValueError(f"a block of {length:g} out of {n} samples: give from 1 to {n}")
    low = high = None
    if n >= _LEAST_BLOCKS * length:
        source = random.Random(f"{seed}/bootstrap")  # noqa: S311 - resampling, no cryptography
        draw = _stationary if blocks is Blocks.STATIONARY else _moving
        found = sorted(statistic(draw(series, length, source)) for _ in range(resamples))
        tail = math.floor((1 - confidence) / 2 * (resamples + 1))
        low, high = found[max(0, tail - 1)], found[min(resamples - 1, resamples - tail)]
    return Bootstrapped(value=statistic(series), low=low, high=high, n=n, block=length)


def block_length(series: Sequence[float]) -> float:
    """The mean block length that fits how far ``series`` correlates with itself.

    The rule of Politis and White (Econometric Reviews 23, 2004, with the correction of Patton,
    Politis and White, 28, 2009) for the stationary bootstrap: autocovariances up to twice the
    lag after which they are noise, weighted by a flat-top window. At least 1, at most a third
    of the series.
    """
    n = len(series)
    most = max(1.0, min(n / 3, math.ceil(3 * math.sqrt(n))))
    if n < 4:
        return 1.0
    mean = fmean(series)
    centred = [value - mean for value in series]
    variance = _covariance(centred, 0)
    if variance <= 0:
        return 1.0
    quiet = max(5, math.ceil(math.sqrt(math.log10(n))))
    furthest = min(n - 1, math.ceil(math.sqrt(n)) + quiet)
    covariances = [_covariance(centred, lag) for lag in range(furthest + 1)]
    noise = 2 * math.sqrt(math.log10(n) / n) * variance
    last = next(
        (
            lag
            for lag in range(furthest - quiet + 1)
            if all(abs(c) < noise for c in covariances[lag + 1 : lag + 1 + quiet])
        ),
        furthest,
    )
    window = min(2 * max(1, last), furthest)
    spectrum, slope = variance, 0.0
    for lag in range(1, window + 1):
        weight = min(1.0, 2 * (1 - lag / window))
        spectrum += 2 * weight * covariances[lag]
        slope += 2 * weight * lag * covariances[lag]
    if spectrum <= 0:
        return 1.0
    return max(1.0, min(most, math.cbrt(n * (slope / spectrum) ** 2)))


def _covariance(centred: Sequence[float], lag: int) -> float:
    pairs = zip(centred, centred[lag:], strict=False)
    return math.fsum(a * b for a, b in pairs) / len(centred)


def _moving(series: Sequence[float], length: float, source: random.Random) -> list[float]:
    size, n = round(length), len(series)
    drawn: list[float] = []
    while len(drawn) < n:
        begin = source.randrange(n - size + 1)
        drawn += series[begin : begin + size]
    return drawn[:n]


def _stationary(series: Sequence[float], length: float, source: random.Random) -> list[float]:
    n = len(series)
    drawn: list[float] = []
    stay = math.log1p(-1 / length) if length > 1 else -math.inf
    while len(drawn) < n:
        begin = source.randrange(n)
        size = 1 + int(math.log(1.0 - source.random()) / stay)  # geometric, of mean `length`
        while size > 0:
            drawn += series[begin : begin + size]
            size -= n - begin
            begin = 0
    return drawn[:n]
