"""Which of many backups to keep: a pure function of their times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

RECENT = 10
DAILY = 7
WEEKLY = 4


def keep(
    stamps: Iterable[datetime],
    *,
    recent: int = RECENT,
    daily: int = DAILY,
    weekly: int = WEEKLY,
    now: datetime | None = None,
) -> set[datetime]:
    """The stamps to keep; the rest may go.

    Kept is what any of these rules keeps, each for itself, as ``restic forget`` does:

    * the ``recent`` latest stamps;
    * the latest stamp of each calendar day, for the ``daily`` latest days that have one;
    * the latest stamp of each ISO 8601 week, for the ``weekly`` latest weeks that have one.

    Days and weeks without a stamp do not count, so a pause loses nothing. Both are those of
    UTC: no day has 23 or 25 hours. The latest stamp is kept whatever the numbers say. Two
    stamps of one instant are one stamp.

    Stamps later than ``now`` come from a clock that was, or is, wrong. The rules are applied
    to them apart: they take no place from the others, and where it is the present clock that
    runs behind, what is kept of them is what would be kept without the fault. So at most
    ``recent + daily + weekly`` stamps stay on either side of ``now``. Without ``now`` no
    stamp counts as early.

    Raises:
        ValueError: a stamp without a time zone, outside the years 1 to 9999 in UTC, or a
            negative number.
    """
    for name, number in (("recent", recent), ("daily", daily), ("weekly", weekly)):
        if number < 0:
            raise ValueError(f"{name} is {number}: give how many to keep, 0 or more.")
    instants = sorted({_utc(stamp) for stamp in stamps}, reverse=True)
    limit = None if now is None else _utc(now)
    early = [stamp for stamp in instants if limit is not None and stamp > limit]
    real = instants[len(early) :]
    kept: set[datetime] = set()
    for side in (early, real):
        kept.update(side[: max(recent, 1)])
        kept.update(_latest_of_each(side, _day, daily))
        kept.update(_latest_of_each(side, _week, weekly))
    return kept


def _latest_of_each(
    latest_first: Sequence[datetime], period: Callable[[datetime], tuple[int, ...]], most: int
) -> list[datetime]:
    first: dict[tuple[int, ...], datetime] = {}
    for stamp in latest_first:
        first.setdefault(period(stamp), stamp)
    return list(first.values())[:most]


def _day(stamp: datetime) -> tuple[int, ...]:
    return stamp.year, stamp.month, stamp.day


def _week(stamp: datetime) -> tuple[int, ...]:
    return tuple(stamp.isocalendar()[:2])


def _utc(stamp: datetime) -> datetime:
    if stamp.tzinfo is None or stamp.utcoffset() is None:
        raise ValueError(
            f"{stamp.isoformat()} has no time zone, so its day is unknown. "
            "Use an aware time, such as datetime.now(UTC)."
        )
    try:
        return stamp.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{stamp.isoformat()} lies outside the years 1 to 9999 in UTC.") from error
