"""What a load delivered by level, as drawings: geometry only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.report import numbers
from harness.report.axes import Axis, axis
from harness.report.load_time import LEFT, TOP, Rule, fits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.load.overview.overview import Overview
    from harness.load.overview.staircase import Step
    from harness.statistics import Estimate, Mean

SMALL, SMALL_HEIGHT = 520, 250
_CLOSE = 26
"""Ticks nearer than this to one drawn before are left out."""
_FIGURES = (
    ("Time to first token (TTFT)", (("ttft", 0.5, "p50"), ("ttft", 0.95, "p95"))),
    (
        "Gap between tokens (ITL)",
        (("itl", 0.5, "p50"), ("stall", 0.95, "p95 of the longest gaps")),
    ),
    ("Whole answer (E2E)", (("e2e", 0.5, "p50"),)),
)


@dataclass(frozen=True, slots=True)
class Dot:
    """A figure at a level: a dot, and the whisker of its interval if it has one."""

    x: float
    y: float
    whisker: tuple[float, float] | None
    text: str


@dataclass(frozen=True, slots=True)
class Dots:
    """The dots of one figure, joined by a line."""

    label: str
    css: str
    dots: tuple[Dot, ...]

    @property
    def path(self) -> str:
        """The line through them."""
        return "M" + "L".join(f"{dot.x:g} {dot.y:g}" for dot in self.dots) if self.dots else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelChart:
    """Figures against the load."""

    title: str
    unit: str
    x: Axis
    y: Axis
    x_ticks: tuple[tuple[str, float], ...]
    series: tuple[Dots, ...]
    ideal: str = ""
    """The line of a throughput that grows as the load does."""
    rule: Rule | None = None

    @property
    def y_ticks(self) -> tuple[tuple[str, float], ...]:
        """Text and place of each."""
        return tuple((f"{value:g}", self.y.at(value)) for value in self.y.ticks(5))


def level_charts(found: Overview, capacity: float | None) -> tuple[LevelChart, ...]:
    """Throughput and latencies against the load; none where there is no staircase to draw."""
    steps = found.staircase.steps
    if len(steps) < 2:
        return ()
    loads = [step.load for step in steps]
    shown = [*loads, capacity] if capacity and capacity <= 4 * max(loads) else loads
    x = _across(shown)
    rule = None
    if capacity is not None and capacity in shown:
        rule = Rule(x.at(capacity), f"{fits(capacity)} fit")
    ticks = _apart([(f"{load:g}", x.at(load)) for load in loads])
    charts = [_throughput(steps, x)]
    for title, parts in _FIGURES:
        series = [
            (label, css, [(step, step.figures.get((metric, q))) for step in steps])
            for (metric, q, label), css in zip(parts, ("client", "tail"), strict=False)
        ]
        y, drawn = _series(series, x)
        charts.append((title, "ms, logarithmic" if y.log else "ms", y, drawn, ""))
    return tuple(
        LevelChart(
            title=title, unit=unit, x=x, y=y, x_ticks=ticks, series=drawn, ideal=ideal, rule=rule
        )
        for title, unit, y, drawn, ideal in charts
        if any(each.dots for each in drawn)
    )


def _throughput(steps: Sequence[Step], x: Axis) -> tuple[str, str, Axis, tuple[Dots, ...], str]:
    y, drawn = _series([("received", "client", [(step, step.tokens_per_s) for step in steps])], x)
    first = steps[0]
    ideal = ""
    if first.load > 0 and first.tokens_per_s.value > 0:
        slope = first.tokens_per_s.value / first.load
        reach = min(steps[-1].load, y.high / slope)
        count = 24
        loads = [first.load + (reach - first.load) * n / count for n in range(count + 1)]
        ideal = "M" + "L".join(f"{x.at(load):g} {y.at(slope * load):g}" for load in loads)
    return "Throughput", "tokens/s, logarithmic" if y.log else "tokens/s", y, drawn, ideal


def _across(loads: Sequence[float]) -> Axis:
    low, high = min(loads), max(loads)
    if low > 0 and high / low >= 16:
        return Axis(low / 1.15, high * 1.15, LEFT, SMALL - 16, log=True)
    return Axis(0.0, high * 1.05, LEFT, SMALL - 16)


def _apart(ticks: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    kept: list[tuple[str, float]] = []
    for text, at in ticks:
        if not kept or at - kept[-1][1] >= _CLOSE:
            kept.append((text, at))
    return tuple(kept)


def _series(
    series: Sequence[tuple[str, str, Sequence[tuple[Step, Estimate | Mean | None]]]],
    x: Axis,
) -> tuple[Axis, tuple[Dots, ...]]:
    values = [
        value
        for _, _, points in series
        for _, figure in points
        if figure is not None
        for value in (figure.value, *(figure.interval or ()))
    ]
    y = axis(values, TOP + SMALL_HEIGHT, TOP)
    drawn = tuple(
        Dots(
            label,
            css,
            tuple(
                Dot(
                    x.at(step.load),
                    y.at(figure.value),
                    (y.at(figure.interval[0]), y.at(figure.interval[1]))
                    if figure.interval
                    else None,
                    f"{label} at {step.load:g}: {interval_text(figure)}",
                )
                for step, figure in points
                if figure is not None
            ),
        )
        for label, css, points in series
    )
    return y, drawn


def interval_text(figure: Estimate | Mean) -> str:
    """A figure with its interval and how many samples it rests on."""
    text = numbers.number(figure.value)
    if figure.interval is None:
        return f"{text}, no interval, n = {figure.n}"
    low, high = figure.interval
    return f"{text}, 95 % CI {numbers.number(low)} to {numbers.number(high)}, n = {figure.n}"
