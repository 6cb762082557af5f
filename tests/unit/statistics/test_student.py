from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.statistics import t_quantile
from harness.statistics.student import t_cdf


@pytest.mark.parametrize(
    ("p", "freedom", "value"),
    [
        (0.975, 1, 12.7062),
        (0.975, 2, 4.30265),
        (0.95, 5, 2.01505),
        (0.99, 10, 2.76377),
        (0.995, 30, 2.75000),
        (0.975, 1_000_000, 1.95997),
        (0.025, 5, -2.57058),
    ],
)
def test_the_tables_of_the_textbooks(p: float, freedom: float, value: float) -> None:
    assert t_quantile(p, freedom) == pytest.approx(value, rel=1e-5)


@given(p=st.floats(0.001, 0.999), freedom=st.integers(1, 200))
def test_the_quantile_inverts_the_distribution(p: float, freedom: int) -> None:
    assert t_cdf(t_quantile(p, freedom), freedom) == pytest.approx(p, abs=1e-9)


def test_half_lies_below_nothing() -> None:
    assert t_quantile(0.5, 3) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("p", "freedom"), [(0, 1), (1, 1), (0.5, 0)])
def test_what_has_no_quantile_is_refused(p: float, freedom: float) -> None:
    with pytest.raises(ValueError, match="degrees of freedom"):
        t_quantile(p, freedom)
