"""Latency as dot-and-interval plots: geometry only, the page draws it."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.report.view import Item

PREFIX = "latency."
TITLES = {
    "ttft": "Time to first token (TTFT)",
    "itl": "Gap between tokens (ITL)",
    "tpot": "Mean time per output token (TPOT)",
    "e2e": "Whole answer, request to last byte (E2E)",
    "gateway-overhead": "What the gateway adds",
}
_SMALLEST = 1e-300  # a span that can still be divided into steps
_FAR = 3.0  # a limit this many times beyond the data is named at the edge, not drawn to scale
_LEFT, _RIGHT = 1.5, 98.5  # per cent of the track that the scale covers


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale; positions are per cent of the width of the track."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Where ``value`` is drawn; what is beyond the scale is drawn at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(_LEFT + share * (_RIGHT - _LEFT), 2)

    def ticks(self) -> tuple[float, ...]:
        """About six round numbers on the scale (steps of 1, 2 or 5 times a power of ten)."""
        step = _round_up((self.high - self.low) / 6)
        first = -floor(-self.low / step)
        count = floor(self.high / step) - first
        return tuple(round((first + i) * step, 9) for i in range(count + 1))


@dataclass(frozen=True, slots=True)
class Mark:
    """One statistic of one subject: a dot, its interval and its limit."""

    stat: str
    item: Item
    x: float
    interval: tuple[float, float] | None
    limit: float | None
    limit_is_far: bool


@dataclass(frozen=True, slots=True)
class Track:
    """The marks of one subject."""

    subject: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """One metric in one unit, every subject on the same scale."""

    title: str
    unit: str
    scale: Scale
    tracks: tuple[Track, ...]
    unmeasured: tuple[Item, ...]

    @property
    def ticks(self) -> tuple[tuple[str, float], ...]:
        """Each tick's text and position."""
        return tuple((f"{value:g}", self.scale.at(value)) for value in self.scale.ticks())


def charts(items: Sequence[Item]) -> tuple[Chart, ...]:
    """A chart for every ``latency.<metric>.<statistic>`` and unit, known metrics first."""
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        if item.evidence.check.startswith(PREFIX):
            metric = _split(item)[0]
            groups.setdefault((metric, item.evidence.unit or ""), []).append(item)
    known = list(TITLES)
    order = sorted(groups, key=lambda key: known.index(key[0]) if key[0] in known else len(known))
    return tuple(_chart(metric, unit, groups[metric, unit]) for metric, unit in order)


def _split(item: Item) -> tuple[str, str]:
    metric, _, stat = item.evidence.check.removeprefix(PREFIX).rpartition(".")
    return (metric, stat) if metric else (stat, "")


def _number(item: Item) -> float | None:
    value = item.evidence.value
    return None if value is None or isinstance(value, str) else float(value)


def _chart(metric: str, unit: str, items: list[Item]) -> Chart:
    measured = [(item, value) for item in items if (value := _number(item)) is not None]
    scale = _scale(measured)
    tracks: dict[str, list[Mark]] = {}
    for item, value in measured:
        record = item.evidence
        ends = record.interval
        mark = Mark(
            stat=_split(item)[1],
            item=item,
            x=scale.at(value),
            interval=None if ends is None else (scale.at(ends[0]), scale.at(ends[1])),
            limit=None if record.bound is None else scale.at(record.bound),
            limit_is_far=record.bound is not None and record.bound > scale.high,
        )
        tracks.setdefault(record.subject, []).append(mark)
    return Chart(
        title=TITLES.get(metric, metric),
        unit=unit,
        scale=scale,
        tracks=tuple(Track(subject, tuple(marks)) for subject, marks in tracks.items()),
        unmeasured=tuple(item for item in items if _number(item) is None),
    )


def _scale(measured: Iterable[tuple[Item, float]]) -> Scale:
    numbers, bounds = [0.0], []
    for item, value in measured:
        numbers += [value, *(end for end in item.evidence.interval or () if isfinite(end))]
        if item.evidence.bound is not None:
            bounds.append(item.evidence.bound)
    top = max(numbers)
    near = [bound for bound in bounds if bound <= _FAR * top]
    low, top = min(numbers), max([top, *near])
    if top - low < _SMALLEST:
        top = low + 1.0
    margin = 0.04 * (top - low)
    return Scale(low - margin if low < 0 else 0.0, top + margin)


def _round_up(step: float) -> float:
    power = 10.0 ** floor(log10(step))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= step)
