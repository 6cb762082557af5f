"""The tail of the chi-square distribution."""

from __future__ import annotations

import math


def chi_square_tail(statistic: float, freedom: int) -> float:
    """P(X >= statistic) for a chi-square variable with ``freedom`` degrees of freedom.

    The upper regularised incomplete gamma function by its recurrence
    Q(a + 1, x) = Q(a, x) + x^a e^-x / Gamma(a + 1) from Q(1/2, x) = erfc(sqrt x) or
    Q(1, x) = e^-x (Abramowitz and Stegun 6.5.21).
    """
    x = statistic / 2
    a = 0.5 if freedom % 2 else 1.0
    tail = math.erfc(math.sqrt(x)) if freedom % 2 else math.exp(-x)
    while a < freedom / 2:
        tail += x**a * math.exp(-x) / math.gamma(a + 1)
        a += 1
    return min(tail, 1.0)
