from __future__ import annotations

import random
from statistics import fmean

import pytest

from harness.statistics import bootstrap, mean


def correlated(n: int, phi: float, source: random.Random) -> list[float]:
    """An AR(1) series of mean 10; ``phi`` is its correlation at lag 1."""
    state, series = source.gauss(0, 1), []
    for _ in range(n):
        series.append(10 + state)
        state = phi * state + (1 - phi**2) ** 0.5 * source.gauss(0, 1)
    return series


def test_a_short_series_that_remembers_is_covered_where_blocks_are_too_few() -> None:
    """A step of a staircase: 40 pieces with an autocorrelation of 0.7."""
    source = random.Random(1)
    hits = by_blocks = told = 0
    for seed in range(150):
        series = correlated(40, 0.7, source)
        found = mean(series).interval
        told += found is not None
        hits += found is not None and found[0] <= 10 <= found[1]
        drawn = bootstrap(series, fmean, seed=seed, resamples=199).interval
        by_blocks += drawn is not None and drawn[0] <= 10 <= drawn[1]
    assert told > 130
    assert hits / told > 0.85
    assert by_blocks / 150 < 0.8


def test_independent_samples_have_the_interval_of_the_tables() -> None:
    """Student, 9 degrees of freedom: 2.262 standard errors."""
    found = mean([1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0, 5.0, 5.0])
    assert (found.value, found.n, found.effective) == (5, 10, 10)
    assert found.interval == pytest.approx((3.1534, 6.8466), abs=1e-3)


def test_too_little_has_no_interval_and_nothing_no_mean() -> None:
    assert mean([1.0, 2.0]).interval is None
    assert mean([float(at) for at in range(12)]).interval is None
    assert mean([3.0] * 5).interval == (3, 3)
    with pytest.raises(ValueError, match="at least one"):
        mean([])
    with pytest.raises(ValueError, match="strictly between"):
        mean([1.0], confidence=1.0)
