from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import Verdict
from harness.statistics import bounding_ranks, chi_square_tail, memory_at, quantile, within

SAMPLES = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


@given(SAMPLES, st.floats(0.01, 0.99))
def test_the_interval_holds_samples_and_encloses_the_median_estimate(
    samples: list[float], q: float
) -> None:
    found = quantile(samples, q)
    assert min(samples) <= found.value <= max(samples)
    if found.low is not None:
        assert found.low in samples
    if found.high is not None:
        assert found.high in samples
    if found.interval is not None:
        assert found.interval[0] <= found.interval[1]


@given(SAMPLES, st.randoms())
def test_the_order_of_samples_does_not_matter(
    samples: list[float], shuffler: random.Random
) -> None:
    shuffled = list(samples)
    shuffler.shuffle(shuffled)
    assert quantile(shuffled, 0.5) == quantile(samples, 0.5)


def test_five_samples_cannot_bound_a_median_and_six_can() -> None:
    assert quantile(range(5), 0.5).interval is None
    assert quantile(range(6), 0.5).interval == (0, 5)


def test_71_samples_cannot_bound_a_p95_from_above_and_72_can() -> None:
    assert quantile(range(71), 0.95).high is None
    assert quantile(range(72), 0.95).high == 71


def test_the_interval_covers_the_true_quantile_as_often_as_it_claims() -> None:
    seeded = random.Random(20)
    draws = [[seeded.expovariate(1) for _ in range(80)] for _ in range(2000)]
    true_p95 = 2.995732273553991  # -ln(0.05)
    covered = 0
    for draw in draws:
        found = quantile(draw, 0.95)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= true_p95 <= found.high
    assert covered / len(draws) >= 0.95


@pytest.mark.parametrize(("n", "q"), [(1, 0.5), (20, 0.5), (72, 0.95), (240, 0.95), (900, 0.99)])
def test_the_ranks_are_those_of_the_binomial_distribution(n: int, q: float) -> None:
    """Counted one by one: the outermost ranks whose chance to miss is at most a tail."""
    below_it = Fraction(round(100 * q), 100)
    chances = [math.comb(n, k) * below_it**k * (1 - below_it) ** (n - k) for k in range(n)]
    below = list(accumulate(chances))
    low = max((k + 1 for k in range(n) if below[k] <= 0.025), default=None)
    high = min((k + 1 for k in range(n) if 1 - below[k] <= 0.025), default=None)
    assert bounding_ranks(n, q) == (low, high)


def test_samples_that_remember_are_covered_only_if_they_count_as_fewer() -> None:
    """Latencies with an autocorrelation of 0.9, as of a queue near its limit; the median is 1."""
    seeded = random.Random(21)
    plain = honest = 0
    for _ in range(200):
        state, series = seeded.gauss(0, 1), []
        for _ in range(400):
            series.append(math.exp(state))
            state = 0.9 * state + 0.19**0.5 * seeded.gauss(0, 1)
        alone = quantile(series, 0.5)
        found = quantile(series, 0.5, correlation=memory_at(series, 0.5))
        assert alone.low is not None
        assert alone.high is not None
        plain += alone.low <= 1 <= alone.high
        honest += found.interval is None or found.interval[0] <= 1 <= found.interval[1]
    assert plain / 200 < 0.6
    assert honest / 200 > 0.85


def test_what_is_worth_fewer_samples_bounds_less() -> None:
    assert quantile(range(72), 0.95, correlation=1.1).high is None
    narrow, wide = (quantile(range(400), 0.5, correlation=by).interval for by in (1, 4))
    assert narrow is not None
    assert wide is not None
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    with pytest.raises(ValueError, match="at least 1"):
        quantile([1.0], 0.5, correlation=0.5)


@pytest.mark.parametrize(
    ("samples", "q", "confidence"), [([], 0.5, 0.95), ([1.0], 1.0, 0.95), ([1.0], 0.5, 0.0)]
)
def test_impossible_questions_are_refused(
    samples: list[float], q: float, confidence: float
) -> None:
    with pytest.raises(ValueError, match=r"sample|strictly between"):
        quantile(samples, q, confidence=confidence)


@pytest.mark.parametrize(
    ("bound", "verdict"),
    [(100, Verdict.PASS), (19, Verdict.PASS), (10, Verdict.INCONCLUSIVE), (-1, Verdict.FAIL)],
)
def test_a_bound_is_held_against_the_whole_interval(bound: float, verdict: Verdict) -> None:
    assert within(quantile(range(20), 0.5), bound)[0] is verdict


def test_too_few_samples_are_inconclusive_not_a_pass() -> None:
    verdict, reason = within(quantile([1.0, 2.0], 0.5), 1000)
    assert verdict is Verdict.INCONCLUSIVE
    assert "2 samples" in reason


@pytest.mark.parametrize(
    ("statistic", "freedom"), [(3.841, 1), (5.991, 2), (7.815, 3), (11.070, 5), (18.307, 10)]
)
def test_chi_square_agrees_with_the_printed_table_at_five_percent(
    statistic: float, freedom: int
) -> None:
    assert chi_square_tail(statistic, freedom) == pytest.approx(0.05, abs=1e-4)
