from __future__ import annotations

import math
from itertools import islice, pairwise
from statistics import fmean, pvariance

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.load.workload.arrival import (
    Stage,
    bursts,
    constant,
    level_at,
    part,
    poisson,
    ramp,
    staggered,
    staircase,
    steady,
)

stages = st.lists(
    st.builds(Stage, st.floats(0.1, 20), st.floats(0, 50), st.floats(0, 50)), min_size=1, max_size=5
)
seeds = st.integers(0, 2**32)


def gaps(moments: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(moments)]


def squared_cv(values: list[float]) -> float:
    return pvariance(values) / fmean(values) ** 2


def autocorrelation(values: list[float], lag: int) -> float:
    mean = fmean(values)
    pairs = zip(values, values[lag:], strict=False)
    return sum((a - mean) * (b - mean) for a, b in pairs) / (len(values) * pvariance(values))


def dispersion(moments: list[float], width: float, until: float) -> float:
    """Variance over mean of the counts in windows: 1 for a Poisson process."""
    counts = [0] * int(until / width)
    for moment in moments:
        if moment < len(counts) * width:
            counts[int(moment / width)] += 1
    return pvariance(counts) / fmean(counts)


@given(stages=stages, seed=seeds)
def test_a_schedule_is_ordered_within_its_stages_and_the_same_for_a_seed(
    stages: list[Stage], seed: int
) -> None:
    for made in (list(poisson(stages, seed=seed)), list(constant(stages))):
        assert made == sorted(made)
        assert all(0 <= moment <= sum(stage.seconds for stage in stages) + 1e-9 for moment in made)
    assert list(poisson(stages, seed=seed)) == list(poisson(stages, seed=seed))


@given(stages=stages, seed=seeds, of=st.integers(1, 12))
def test_the_parts_are_disjoint_and_together_the_schedule(
    stages: list[Stage], seed: int, of: int
) -> None:
    parts = [part(poisson(stages, seed=seed), index=index, of=of) for index in range(of)]
    together = sorted(arrival for one in parts for arrival in one)
    assert together == list(enumerate(poisson(stages, seed=seed)))


@given(stages=stages)
def test_a_constant_schedule_holds_as_many_as_are_expected(stages: list[Stage]) -> None:
    expected = sum(stage.area for stage in stages)
    assert abs(len(list(constant(stages))) - expected) <= 1 + 1e-6


@given(stages=stages)
def test_the_moment_by_which_so_many_are_expected_inverts_the_area(stages: list[Stage]) -> None:
    for stage in stages:
        assume(stage.area > 1e-6)
        for share in (0.0, 0.1, 0.5, 0.9, 1.0):
            at_s = stage.moment(share * stage.area)
            level = stage.begin + (stage.end - stage.begin) * at_s / stage.seconds
            assert math.isclose(
                at_s * (stage.begin + level) / 2, share * stage.area, rel_tol=1e-6, abs_tol=1e-9
            )


def test_constant_arrivals_are_even() -> None:
    assert list(constant(steady(4, 1))) == [0.0, 0.25, 0.5, 0.75]
    ramped = gaps(list(constant(ramp(1, 10, 20))))
    assert ramped == sorted(ramped, reverse=True)


@pytest.mark.parametrize("seed", range(5))
def test_poisson_arrivals_are_poisson(seed: int) -> None:
    """The signature of a process: gaps of CV 1, not correlated, counts as variable as their mean.

    Standard errors for 20,000 arrivals: about 0.02, 0.007, and 0.01 to 0.03. Five of each.
    """
    moments = list(poisson(steady(100, 200), seed=seed))
    between = gaps(moments)
    assert len(moments) == pytest.approx(20_000, abs=5 * math.sqrt(20_000))
    assert squared_cv(between) == pytest.approx(1, abs=0.1)
    for lag in (1, 2, 3, 9, 10):
        assert abs(autocorrelation(between, lag)) < 0.036
    assert dispersion(moments, 0.1, 200) == pytest.approx(1, abs=0.16)
    assert dispersion(moments, 1.0, 200) == pytest.approx(1, abs=0.5)


def test_workers_that_seed_alike_are_seen_by_the_same_measures() -> None:
    """Ten workers with one seed, each adding its draw: what goes wrong without one schedule."""
    draws = list(islice(gaps([0.0, *poisson(steady(100, 200), seed=1)]), 2_000))
    moments, now = [], 0.0
    for gap in draws:
        for _ in range(10):
            now += gap
            moments.append(now)
    assert autocorrelation(gaps(moments), 1) > 0.5
    assert dispersion(moments, 1.0, now) > 3


@pytest.mark.parametrize("burstiness", [0.25, 4.0])
def test_burstiness_is_the_squared_cv_of_the_gaps(burstiness: float) -> None:
    made = list(poisson(steady(100, 300), seed=3, burstiness=burstiness))
    assert squared_cv(gaps(made)) == pytest.approx(burstiness, rel=0.15)
    assert len(made) == pytest.approx(30_000, rel=0.05)


def test_a_poisson_schedule_follows_its_rate() -> None:
    moments = list(poisson(ramp(0, 200, 100), seed=2))
    early = sum(moment < 50 for moment in moments)
    assert early / len(moments) == pytest.approx(0.25, abs=0.03)


def test_the_shapes_of_a_load() -> None:
    assert staircase([1, 4], 10) == (Stage(10, 1, 1), Stage(10, 4, 4))
    assert ramp(0, 8, 10, hold_s=5) == (Stage(10, 0, 8), Stage(5, 8, 8))
    assert ramp(0, 8, 10) == (Stage(10, 0, 8),)
    repeated = bursts(1, 50, every_s=10, lasting_s=2, times=3)
    assert repeated == (Stage(8, 1, 1), Stage(2, 50, 50)) * 3


def test_the_level_of_a_closed_loop_follows_its_stages() -> None:
    shape = ramp(0, 8, 10, hold_s=5)
    assert [level_at(shape, at) for at in (-1, 0, 5, 10, 14, 15)] == [None, 0, 4, 8, 8, None]


def test_users_start_apart() -> None:
    starts = staggered(100, 5.0, seed=1)
    assert starts == staggered(100, 5.0, seed=1) != staggered(100, 5.0, seed=2)
    assert list(starts) == sorted(starts)
    assert len(set(starts)) == 100
    assert 0 <= starts[0] <= starts[-1] <= 5


@pytest.mark.parametrize(
    "made",
    [
        lambda: Stage(0, 1, 1),
        lambda: Stage(math.inf, 1, 1),
        lambda: Stage(1, -1, 1),
        lambda: Stage(1, 1, math.nan),
        lambda: Stage(1, 1, 1).moment(2),
        lambda: bursts(1, 2, every_s=1, lasting_s=1, times=1),
        lambda: poisson(steady(1, 1), seed=1, burstiness=0),
        lambda: part([], index=2, of=2),
        lambda: part([], index=0, of=0),
    ],
)
def test_what_makes_no_load_is_refused(made: object) -> None:
    assert callable(made)
    with pytest.raises(ValueError, match=r"give|expects|no rest|number them"):
        made()
