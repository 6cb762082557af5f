from __future__ import annotations

import random
from statistics import median

import pytest

from harness.statistics import beta_cdf, beta_quantile, memory, memory_at, share, share_of


def correlated(n: int, phi: float, seed: int) -> list[float]:
    """An AR(1) series; one independent sample is worth (1 + phi) / (1 - phi) of its samples."""
    source = random.Random(f"{seed}/{phi}")
    state, series = source.gauss(0, 1), []
    for _ in range(n):
        series.append(state)
        state = phi * state + (1 - phi**2) ** 0.5 * source.gauss(0, 1)
    return series


@pytest.mark.parametrize(("phi", "truth"), [(0.0, 1.0), (0.5, 3.0), (0.9, 19.0)])
def test_the_memory_of_a_known_series(phi: float, truth: float) -> None:
    found = median(memory(correlated(1500, phi, seed)) for seed in range(30))
    assert found == pytest.approx(truth, rel=0.2)


def test_a_series_that_never_changes_or_is_one_value_has_none() -> None:
    assert memory([3.0] * 50) == 1
    assert memory([3.0]) == 1
    assert memory([float(at) for at in range(50)]) > 10


@pytest.mark.parametrize("phi", [0.0, 0.9])
def test_the_interval_of_a_share_holds_the_truth_as_often_as_it_says(phi: float) -> None:
    """95 % of normal values lie below 1.645, whatever their order."""
    missed = plain = 0
    for seed in range(200):
        series = correlated(600, phi, seed)
        held = [value < 1.645 for value in series]
        found = share(held, confidence=0.9, correlation=memory(series))
        missed += not found.low <= 0.95 <= found.high
        alone = share(held, confidence=0.9, correlation=1.0)
        plain += not alone.low <= 0.95 <= alone.high
    assert missed / 200 <= 0.1
    assert plain / 200 > 0.3 or phi == 0.0


def test_exact_bounds_are_those_of_the_tables() -> None:
    """Clopper and Pearson, 95 %: 0 of 10 and 8 of 10."""
    none = share([False] * 10, correlation=1)
    assert (none.low, none.high) == pytest.approx((0.0, 0.3085), abs=1e-4)
    eight = share([True] * 8 + [False] * 2, correlation=1)
    assert (eight.low, eight.high) == pytest.approx((0.4439, 0.9748), abs=1e-4)


def test_a_share_of_numbers_is_that_of_the_samples_and_is_never_certain() -> None:
    """Ten good of ten leave room for three in ten that are not: no interval has width 0."""
    assert share_of(8, 10) == share([True] * 8 + [False] * 2, correlation=1)
    assert share_of(10, 10).interval == pytest.approx((0.6915, 1.0), abs=1e-4)
    with pytest.raises(ValueError, match="at least one"):
        share_of(0, 0)


def test_the_memory_at_a_quantile_is_that_of_what_exceeds_it() -> None:
    runs = [0.0] * 90 + [1e9] * 10
    assert memory_at(runs * 5, 0.9) > 5
    assert memory_at([float(at % 10) for at in range(500)], 0.9) == 1
    assert memory_at([], 0.5) == 1


def test_fewer_effective_samples_make_a_wider_interval() -> None:
    narrow, wide = (share([True] * 90 + [False] * 10, correlation=by) for by in (1, 10))
    assert wide.low < narrow.low < 0.9 < narrow.high < wide.high
    assert (wide.n, wide.effective) == (100, 10)


def test_a_beta_quantile_is_where_the_distribution_has_its_probability() -> None:
    source = random.Random(1)
    for _ in range(300):
        p, a, b = source.uniform(0.001, 0.999), source.uniform(1, 900), source.uniform(1, 900)
        assert beta_cdf(beta_quantile(p, a, b), a, b) == pytest.approx(p, abs=1e-6)


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        share([])
    with pytest.raises(ValueError, match="strictly between"):
        share([True], confidence=1)
