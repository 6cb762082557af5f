from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.wire.engine import Lags

durations = st.lists(st.integers(0, 10**12), min_size=1)


def of(values: list[int]) -> Lags:
    lags = Lags()
    for value in values:
        lags.add(value)
    return lags


@given(values=durations, q=st.floats(0.01, 1))
def test_a_quantile_is_that_of_the_samples_less_a_32nd(values: list[int], q: float) -> None:
    ordered = sorted(values)
    true = next(v for n, v in enumerate(ordered, 1) if n >= q * len(ordered))
    said = of(values).quantile_ns(q)
    assert said is not None
    assert true - true / 32 <= said <= true


@given(left=durations, right=durations)
def test_merging_loses_nothing(left: list[int], right: list[int]) -> None:
    merged, together = of(left).merged(of(right)), of(left + right)
    assert merged.counts == together.counts
    assert merged.most_ns == together.most_ns == max(left + right)


def test_without_samples_there_is_no_quantile() -> None:
    assert Lags().quantile_ns(0.5) is None
    assert Lags().count == 0


def test_what_was_early_was_not_late() -> None:
    assert of([-5]).counts == {0: 1}


def test_memory_is_bounded_by_the_buckets_not_by_the_samples() -> None:
    lags = of([7919 * n for n in range(100_000)])
    assert lags.count == 100_000
    assert len(lags.counts) < 32 * 32
