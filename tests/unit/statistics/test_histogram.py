from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.statistics import Histogram

samples = st.lists(st.integers(0, 10**13), min_size=1, max_size=200)
digits = st.integers(1, 4)


def of(values: list[int], digits: int = 3) -> Histogram:
    made = Histogram(digits)
    made.update(values)
    return made


@given(values=samples, digits=digits, q=st.floats(0, 1))
def test_a_quantile_is_a_sample_to_so_many_digits(values: list[int], digits: int, q: float) -> None:
    true = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    assert abs(of(values, digits).quantile(q) - true) <= true * 10**-digits + 1e-9


@given(value=st.integers(0, 10**15), digits=digits)
def test_no_bucket_is_wider_than_its_digits_allow(value: int, digits: int) -> None:
    made = Histogram(digits)
    edge = made._edge(value)
    assert edge <= value < edge + made._width(value)
    assert made._width(value) == 1 or made._width(value) <= edge * 10**-digits


@given(parts=st.lists(samples, min_size=1, max_size=5), digits=digits)
def test_merging_loses_nothing_in_any_order(parts: list[list[int]], digits: int) -> None:
    whole = of([value for part in parts for value in part], digits)
    for order in (parts, parts[::-1]):
        merged = Histogram(digits)
        for part in order:
            merged.merge(of(part, digits))
        assert merged == whole


@given(values=samples)
def test_count_sum_and_extremes_are_exact(values: list[int]) -> None:
    made = of(values)
    assert (made.n, made.total) == (len(values), sum(values))
    assert (made.least, made.most) == (min(values), max(values))
    assert made.mean == sum(values) / len(values)


@given(values=samples, digits=digits)
def test_it_survives_json(values: list[int], digits: int) -> None:
    made = of(values, digits)
    assert Histogram.load(json.loads(json.dumps(made.dump()))) == made


def test_memory_is_bounded_by_the_range() -> None:
    made = Histogram(3)
    for exponent in range(160):
        for step in range(1000):
            made.add(int(1000 * 1.15**exponent * (1 + step / 7000)), times=1000)
    assert made.n == 160_000_000
    assert len(made.counts) < 40_000


def test_an_empty_one_has_no_figures() -> None:
    empty = Histogram()
    assert (empty.n, empty.mean, empty.least) == (0, None, None)
    with pytest.raises(ValueError, match="at least one"):
        empty.quantile(0.5)
    assert Histogram.load(empty.dump()) == empty


@pytest.mark.parametrize(
    "dumped",
    [
        {},
        {"digits": 9, "least": 1, "most": 1, "total": 1, "counts": [[1, 1]]},
        {"digits": 3, "least": 1, "most": 1, "total": 1, "counts": [[1]]},
        {"digits": 3, "least": 1, "most": 1, "total": 1, "counts": [None]},
        {"digits": 3, "least": 1, "most": 1, "total": 1, "counts": [[1, 0]]},
        {"digits": 3, "least": None, "most": None, "total": 1, "counts": [[1, 1]]},
        {"digits": 1, "least": 99, "most": 99, "total": 99, "counts": [[99, 1]]},
    ],
)
def test_what_is_no_histogram_is_refused(dumped: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"digits|no histogram|values to unpack"):
        Histogram.load(dumped)


def test_what_cannot_be_counted_is_refused() -> None:
    for value, times in ((-1, 1), (1, 0)):
        with pytest.raises(ValueError, match="can be counted"):
            Histogram().add(value, times)
    with pytest.raises(ValueError, match="no buckets in common"):
        Histogram(2).merge(Histogram(3))
    with pytest.raises(ValueError, match="between 0 and 1"):
        of([1]).quantile(1.5)
