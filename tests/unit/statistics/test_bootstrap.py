from __future__ import annotations

import random
from statistics import fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.statistics import Blocks, block_length, bootstrap


def correlated(n: int, phi: float, seed: int) -> list[float]:
    """An AR(1) series of mean 10 and variance 1; ``phi`` is its correlation at lag 1."""
    source = random.Random(f"{seed}/{phi}")
    state, series = source.gauss(0, 1), []
    for _ in range(n):
        series.append(10 + state)
        state = phi * state + (1 - phi**2) ** 0.5 * source.gauss(0, 1)
    return series


def coverage(phi: float, *, block: float | None, blocks: Blocks = Blocks.STATIONARY) -> float:
    """How often a 90 % interval of the mean holds the truth."""
    hits = 0
    for seed in range(100):
        series = correlated(300, phi, seed)
        found = bootstrap(
            series, fmean, seed=seed, block=block, blocks=blocks, confidence=0.9, resamples=99
        )
        assert found.interval is not None
        hits += found.interval[0] <= 10 <= found.interval[1]
    return hits / 100


def test_blocks_cover_where_single_samples_do_not() -> None:
    """For phi = 0.6 single samples see a quarter of the variance: they cover 65 %, not 90."""
    assert coverage(0.6, block=1) < 0.75
    assert coverage(0.6, block=None) > 0.8
    assert coverage(0.6, block=15, blocks=Blocks.MOVING) > 0.8


def test_independent_samples_are_covered_too() -> None:
    assert 0.82 < coverage(0.0, block=None) < 0.98


def test_blocks_grow_with_the_correlation() -> None:
    lengths = [
        median(block_length(correlated(500, phi, s)) for s in range(20)) for phi in (0, 0.5, 0.9)
    ]
    assert lengths == sorted(lengths)
    assert lengths[0] < 4 < lengths[2]


def test_a_constant_series_has_blocks_of_one_and_no_spread() -> None:
    assert block_length([5.0] * 100) == 1
    assert bootstrap([5.0] * 100, fmean, seed=1).interval == (5, 5)


def test_too_few_blocks_give_no_interval() -> None:
    found = bootstrap(correlated(40, 0.5, 1), fmean, seed=1, block=10)
    assert (found.interval, found.n, found.block) == (None, 40, 10)
    assert found.value == fmean(correlated(40, 0.5, 1))


@given(
    series=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    blocks=st.sampled_from(Blocks),
    seed=st.integers(0, 9),
)
def test_an_interval_lies_within_the_samples_and_repeats(
    series: list[float], blocks: Blocks, seed: int
) -> None:
    found = bootstrap(series, median, seed=seed, blocks=blocks, resamples=39)
    assert found == bootstrap(series, median, seed=seed, blocks=blocks, resamples=39)
    assert 1 <= block_length(series) <= max(1, len(series))
    if found.interval is not None:
        assert min(series) <= found.interval[0] <= found.interval[1] <= max(series)


@pytest.mark.parametrize(
    "options", [{"block": 0.5}, {"block": 11}, {"confidence": 1.0}, {"series": []}]
)
def test_what_cannot_be_drawn_is_refused(options: dict[str, object]) -> None:
    given_ = {"series": [1.0] * 10, **options}
    series = given_.pop("series")
    with pytest.raises(ValueError, match=r"give from|must lie|at least one"):
        bootstrap(series, fmean, seed=1, **given_)  # type: ignore[arg-type]
