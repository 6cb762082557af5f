"""The beta distribution, from which exact intervals of shares and of t variables follow."""

from __future__ import annotations

import math

_STEPS = 400
_TINY = 1e-300
_ENOUGH = 1e-15
_CLOSE = 1e-13


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b): P(X <= x) of a Beta(a, b) variable.

    Its continued fraction (Abramowitz and Stegun 26.5.8) is evaluated by the method of Lentz.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
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


def beta_quantile(p: float, a: float, b: float) -> float:
    """The x for which `beta_cdf` is ``p``: by secants that stay between bounds, or by halves."""
    low, high, below, above = 0.0, 1.0, -p, 1 - p
    middle = 0.5
    for step in range(_STEPS):
        # Every third step halves, so that a secant that hugs one bound cannot take for ever.
        by_secant = (low * above - high * below) / (above - below)
        middle = (low + high) / 2 if step % 3 == 0 else by_secant
        off = beta_cdf(middle, a, b) - p
        if abs(off) < _CLOSE or high - low < _ENOUGH:
            break
        if off < 0:
            low, below = middle, off
        else:
            high, above = middle, off
    return middle


def _apart(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
