"""Quantiles of Student's t, for means of a few samples."""

from __future__ import annotations

import math

_STEPS = 200
_TINY = 1e-300
_ENOUGH = 1e-15


def t_quantile(p: float, freedom: float) -> float:
    """The value that a t variable with ``freedom`` degrees of freedom exceeds with 1 - ``p``.

    Raises:
        ValueError: ``p`` outside (0, 1), or no degree of freedom.
    """
    if not (0 < p < 1 and freedom > 0):
        raise ValueError(f"p={p} with {freedom} degrees of freedom: give 0 < p < 1 and more than 0")
    if p < 0.5:
        return -t_quantile(1 - p, freedom)
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < p:
        low, high = high, high * 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_cdf(middle, freedom) < p else (low, middle)
    return (low + high) / 2


def t_cdf(t: float, freedom: float) -> float:
    """P(T <= t), through the regularised incomplete beta function (Abramowitz and Stegun 26.7.1).

    Its continued fraction (26.5.8) is evaluated by the method of Lentz.
    """
    x = freedom / (freedom + t * t)
    tail = _beta(freedom / 2, 0.5, x) / 2
    return 1 - tail if t > 0 else tail


def _beta(a: float, b: float, x: float) -> float:
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_front += a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1 / _apart(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _apart(1 + term * d)
            c = _apart(1 + term / c)
            result *= c * d
        if abs(c * d - 1) < _ENOUGH:
            break
    return math.exp(log_front) * result / a


def _apart(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
