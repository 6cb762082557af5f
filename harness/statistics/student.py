"""Quantiles of Student's t, for means of a few samples."""

from __future__ import annotations

import math
from functools import lru_cache

from harness.statistics.beta import beta_cdf, beta_quantile


@lru_cache(maxsize=1024)
def t_quantile(p: float, freedom: float) -> float:
    """The value that a t variable with ``freedom`` degrees of freedom exceeds with 1 - ``p``.

    Raises:
        ValueError: ``p`` outside (0, 1), or no degree of freedom.
    """
    if not (0 < p < 1 and freedom > 0):
        raise ValueError(f"p={p} with {freedom} degrees of freedom: give 0 < p < 1 and more than 0")
    if p < 0.5:
        return -t_quantile(1 - p, freedom)
    x = beta_quantile(2 * (1 - p), freedom / 2, 0.5)
    return math.sqrt(freedom * (1 - x) / x) if x > 0 else math.inf


def t_cdf(t: float, freedom: float) -> float:
    """P(T <= t), through the incomplete beta function (Abramowitz and Stegun 26.7.1)."""
    x = freedom / (freedom + t * t)
    tail = beta_cdf(x, freedom / 2, 0.5) / 2
    return 1 - tail if t > 0 else tail
