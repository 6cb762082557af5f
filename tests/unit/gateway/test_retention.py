from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.gateway.retention import DAILY, RECENT, WEEKLY, keep

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MOST = RECENT + DAILY + WEEKLY

# Minutes to months apart, so that days and weeks hold many stamps, one, and none.
gaps = st.one_of(
    st.integers(0, 30 * 60), st.integers(0, 3 * 86_400), st.integers(0, 60 * 86_400)
).map(lambda seconds: timedelta(seconds=seconds))
stamps = st.lists(gaps, max_size=80).map(
    lambda steps: [NOON - sum(steps[:number], timedelta()) for number in range(1, len(steps) + 1)]
)
moments = st.one_of(st.none(), st.integers(-200, 200).map(lambda days: NOON + timedelta(days=days)))


def day(number: int, hour: int = 12) -> datetime:
    return NOON.replace(hour=hour) - timedelta(days=number)


def test_nothing_of_nothing() -> None:
    assert keep([]) == set()


def test_the_ten_latest_stay() -> None:
    made = [NOON - timedelta(minutes=number) for number in range(30)]
    assert keep(made, daily=0, weekly=0) == set(made[:10])


def test_the_latest_of_each_of_the_seven_latest_days_that_have_one() -> None:
    made = [day(number, hour) for number in range(0, 40, 2) for hour in (3, 9)]
    wanted = {day(number, 9) for number in range(0, 14, 2)}
    assert keep(made, recent=1, weekly=0) == wanted


def test_the_latest_of_each_of_the_four_latest_iso_weeks_that_have_one() -> None:
    # 2026-11-21 is a Saturday, so its week began five days before.
    made = [day(number) for number in range(60)]
    wanted = {day(0), day(6), day(13), day(20)}
    assert {stamp.isocalendar().week for stamp in wanted} == {47, 46, 45, 44}
    assert keep(made, recent=1, daily=0) == wanted


def test_a_week_that_spans_two_years_is_one_week() -> None:
    made = [datetime(2026, 12, 30, tzinfo=UTC), datetime(2027, 1, 2, tzinfo=UTC)]
    assert keep(made, recent=1, daily=0, weekly=2) == {made[1]}


def test_a_pause_loses_nothing() -> None:
    made = [day(number) for number in (400, 300, 200, 100)]
    assert keep(made, recent=1) == set(made)


def test_days_are_those_of_utc_whatever_the_zone_and_the_season() -> None:
    # The night in which Berlin's clocks go back: 02:30 comes twice there, and is two instants.
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=0)
    second = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1)
    late = datetime(2026, 10, 25, 0, 30, tzinfo=berlin)  # still the 24th in UTC
    kept = keep([first, second, late], recent=1, weekly=0)
    assert kept == {second.astimezone(UTC), late.astimezone(UTC)}


def test_one_instant_in_two_zones_is_one_stamp() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=9)))
    assert keep([NOON, there, NOON]) == {NOON}


def test_a_stamp_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        keep([NOON.replace(tzinfo=None)])


def test_a_stamp_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="years 1 to 9999"):
        keep([datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))])


@pytest.mark.parametrize("name", ["recent", "daily", "weekly"])
def test_a_negative_number_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is -1"):
        keep([NOON], **{name: -1})


def test_stamps_of_the_future_crowd_out_nothing() -> None:
    real = [NOON - timedelta(minutes=number) for number in range(10)]
    future = [NOON + timedelta(days=number) for number in range(1, 100)]
    assert keep([*real, *future], now=NOON) >= set(real)


def test_a_clock_that_runs_behind_loses_nothing() -> None:
    made = [day(number) for number in range(60)]
    long_ago = datetime(1970, 1, 1, tzinfo=UTC)
    assert keep([*made, long_ago], now=long_ago) == keep(made) | {long_ago}


@given(stamps, moments)
def test_what_is_kept_was_there(made: list[datetime], now: datetime | None) -> None:
    assert keep(made, now=now) <= set(made)


@given(stamps)
def test_never_more_than_the_three_numbers_together(made: list[datetime]) -> None:
    assert len(keep(made)) <= MOST


@given(stamps, moments)
def test_on_either_side_of_now_the_bound_holds(made: list[datetime], now: datetime | None) -> None:
    assert len(keep(made, now=now)) <= 2 * MOST


@given(stamps, moments, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_the_latest_is_never_lost(
    made: list[datetime], now: datetime | None, recent: int, daily: int, weekly: int
) -> None:
    kept = keep(made, now=now, recent=recent, daily=daily, weekly=weekly)
    if made:
        assert max(made) in kept
    present = [stamp for stamp in made if now is not None and stamp <= now]
    if present:
        assert max(present) in kept


@given(stamps, moments)
def test_pruning_twice_is_pruning_once(made: list[datetime], now: datetime | None) -> None:
    kept = keep(made, now=now)
    assert keep(kept, now=now) == kept


@given(stamps, gaps)
def test_what_was_let_go_is_never_missed(made: list[datetime], gap: timedelta) -> None:
    newer = NOON + gap + timedelta(seconds=1)
    assert keep([*keep(made), newer]) == keep([*made, newer])


@given(stamps, st.randoms(use_true_random=False))
def test_the_order_they_come_in_does_not_matter(made: list[datetime], random: object) -> None:
    shuffled = [*made, *made]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert keep(shuffled) == keep(made)


@given(stamps, st.integers(1, 12))
def test_a_larger_number_keeps_no_less(made: list[datetime], recent: int) -> None:
    assert keep(made, recent=recent) <= keep(made, recent=recent + 1)
