"""Axes of a drawing, linear or logarithmic, and lines on them: geometry only."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDE = 30.0
"""Values further apart than this factor are drawn on a logarithmic scale: on a linear one the
small ones could not be told from nothing."""
_HEADROOM = 1.06
_FEW = 3


@dataclass(frozen=True, slots=True)
class Axis:
    """Where a value is drawn, between ``begin`` and ``end`` in units of the drawing."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of ``value``; what is beyond the axis is drawn at its end."""
        inside = min(max(value, self.low), self.high)
        if self.log:
            share = log10(inside / self.low) / log10(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return round(self.begin + share * (self.end - self.begin), 2)

    def ticks(self, about: int = 5) -> tuple[float, ...]:
        """Round numbers on the axis: 1, 2 or 5 times a power of ten."""
        if self.log:
            return self._powers()
        step = _nice((self.high - self.low) / about)
        first = ceil(self.low / step - 1e-9)
        return tuple(
            round(number * step, 12) for number in range(first, floor(self.high / step + 1e-9) + 1)
        )

    def _powers(self) -> tuple[float, ...]:
        span = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        for factors in ((1,), (1, 5), (1, 2, 5)):
            found = [factor * 10.0**power for power in span for factor in factors]
            shown = tuple(value for value in found if self.low <= value <= self.high)
            if len(shown) >= _FEW:
                return shown
        return shown


def axis(values: Iterable[float], begin: float, end: float, *, share: bool = False) -> Axis:
    """An axis on which all of ``values`` have room: from zero, or logarithmic if they lie `WIDE`.

    ``share``: from 0 to 1, whatever the values.
    """
    if share:
        return Axis(0.0, 1.0, begin, end)
    found = [value for value in values if value >= 0]
    positive = [value for value in found if value > 0]
    top = max(positive, default=1.0)
    if positive and len(positive) == len(found) and top / min(positive) > WIDE:
        return Axis(min(positive) / 1.2, top * 1.2, begin, end, log=True)
    return Axis(0.0, top * _HEADROOM, begin, end)


def stairs(pieces: Iterable[tuple[float, float, float | None]]) -> str:
    """The path of a line that holds each value from one x to another; None leaves a gap.

    Pieces are (from x, to x, y), already places on the drawing.
    """
    drawn: list[str] = []
    last: tuple[float, float] | None = None
    for begin, end, y in pieces:
        if y is None:
            last = None
            continue
        if last is None or last[0] != begin:
            drawn.append(f"M{begin:g} {y:g}")
        elif last[1] != y:
            drawn.append(f"V{y:g}")
        drawn.append(f"H{end:g}")
        last = end, y
    return "".join(drawn)


def thinned(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of points that fall on one unit of x the one with the highest value (x, value)."""
    kept: list[tuple[float, float]] = []
    for x, value in places:
        if kept and floor(kept[-1][0]) == floor(x):
            kept[-1] = kept[-1][0], max(kept[-1][1], value)
        else:
            kept.append((x, value))
    return kept


def _nice(step: float) -> float:
    power = 10.0 ** floor(log10(step))
    return next(
        factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= step * 0.999
    )
