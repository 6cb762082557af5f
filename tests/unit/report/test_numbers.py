from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.evidence import Evidence, Verdict
from harness.report.numbers import exact, limit, measured, number, qualified

finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (40, "40"),
        (182.3456, "182"),
        (1234.56, "1235"),
        (18.24, "18.2"),
        (1.0, "1.00"),
        (0.00123456, "0.00123"),
        (-3.14159, "-3.14"),
        (1.79769e308, "1.80e+308"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (math.nan, "not a number"),
    ],
)
def test_a_number_is_short(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "bound", "text"),
    [
        (0.995, 1.0, "0.995"),
        (0.9996, 1.0, "0.9996"),
        (300.4, 300.0, "300.4"),
        (300.0, 300.0, "300"),
        (299.99999, 300.0, "299.99999"),
        (math.nextafter(300, 301), 300.0, "300.0000000000001"),
        (412.7, 300.0, "413"),
    ],
)
def test_a_number_stays_on_its_side_of_the_limit(value: float, bound: float, text: str) -> None:
    assert number(value, bound) == text


@given(finite, finite)
@example(0.1, 0.1)
@example(5e-324, 0.0)
@example(1.7976931348623157e308, 1.797693134862315e308)
def test_no_number_is_rounded_across_or_onto_its_limit(value: float, bound: float) -> None:
    drawn, other = Decimal(number(value, bound)), Decimal(limit(bound))

    assert (drawn > other) == (value > bound)
    assert (drawn < other) == (value < bound)


@given(finite)
def test_a_limit_is_drawn_exactly(bound: float) -> None:
    assert float(limit(bound)) == bound


@given(finite.filter(lambda value: abs(value) > 1e-300))
def test_rounding_stays_within_half_a_percent(value: float) -> None:
    assert abs(Decimal(number(value)) - Decimal(value)) <= abs(Decimal(value)) / 200


@given(finite | st.integers())
def test_the_exact_text_reads_back_as_the_number(value: float) -> None:
    assert type(value)(exact(value)) == value


def evidence(**facts: object) -> Evidence:
    known = {"check": "latency.ttft.p50", "subject": "vllm", "asked": "?", "verdict": Verdict.PASS}
    return Evidence.model_validate({**known, **facts})


def test_a_figure_carries_unit_interval_samples_limit_and_engine() -> None:
    record = evidence(
        value=299.9, unit="ms", interval=(280.0, math.inf), n=40, bound=300, engine="emulated"
    )

    assert measured(record) == "299.9 ms"
    assert qualified(record) == "95 % CI 280 to ∞, n = 40, limit 300, engine: emulated"


def test_a_record_without_a_value_has_no_figure() -> None:
    assert measured(evidence()) == ""
    assert qualified(evidence()) == ""


def test_a_value_that_is_a_name_is_left_as_it_is() -> None:
    assert measured(evidence(value="error 429")) == "error 429"
