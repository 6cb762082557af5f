from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.axes import WIDE, Axis, axis, stairs, thinned

values = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=20)


@given(values, st.booleans())
def test_every_value_has_room_and_larger_ones_stand_further(
    found: list[float], upward: bool
) -> None:
    made = axis(found, *((100.0, 0.0) if upward else (0.0, 100.0)))

    places = [made.at(value) for value in sorted(found)]

    assert all(0 <= place <= 100 for place in places)
    assert places == sorted(places, reverse=upward)
    assert made.low <= min(found) <= max(found) <= made.high


@given(values)
def test_ticks_are_few_round_and_on_the_axis(found: list[float]) -> None:
    made = axis(found, 0.0, 100.0)

    ticks = made.ticks()

    assert 2 <= len(ticks) <= 12 or made.log
    assert all(made.low <= tick <= made.high for tick in ticks)
    assert all(float(f"{tick:.0e}") == pytest.approx(tick, rel=0.5) for tick in ticks if tick)


def test_a_logarithm_is_taken_where_the_small_would_vanish_and_nothing_is_zero() -> None:
    assert axis([1, WIDE + 1], 0, 1).log
    assert not axis([1, WIDE - 1], 0, 1).log
    assert not axis([0, 1, 1000], 0, 1).log
    assert axis([1, 1000], 0, 1).ticks() == (1, 10, 100, 1000)
    assert Axis(90.0, 700.0, 0, 1, log=True).ticks() == (100, 200, 500)


def test_no_values_make_an_axis_that_can_be_drawn() -> None:
    assert axis([], 0, 100).at(0) == 0
    assert axis([0.0], 0, 100).ticks()


def test_a_share_goes_from_nothing_to_all() -> None:
    assert axis([0.01], 0, 100, share=True).at(1) == 100


def test_stairs_hold_each_value_and_leave_gaps() -> None:
    assert stairs([(0, 1, 5), (1, 2, 5), (2, 3, 7), (3, 4, None), (4, 5, 1)]) == (
        "M0 5H1H2V7H3M4 1H5"
    )
    assert stairs([(0, 1, 5), (3, 4, 5)]) == "M0 5H1M3 5H4"
    assert stairs([]) == ""


def test_of_points_on_one_place_the_highest_stays() -> None:
    assert thinned([(1.1, 3), (1.9, 9), (1.95, 2), (2.0, 1)]) == [(1.1, 9), (2.0, 1)]
