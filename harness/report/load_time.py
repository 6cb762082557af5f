"""A load over time as drawings, client and engine on one axis: geometry only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.engines.metrics import Quantity
from harness.load.sampling.aligned import middle_ns, rates
from harness.report.axes import Axis, axis, stairs, thinned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.load.overview.overview import Overview, Watched
    from harness.load.overview.timeline import Bin
    from harness.load.sampling.sampling import Sample

WIDTH, LEFT, RIGHT = 1000, 66, 984
TOP, HEIGHT, FOOT = 12, 128, 26
_S = 1e9


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel; ``css`` gives colour and dash, so that it needs no colour to tell."""

    label: str
    css: str
    path: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at one place, with what to say of it."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A level to hold a line against."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One drawing over time; all panels of a page share their x axis."""

    title: str
    unit: str
    lead: str
    y: Axis
    x: Axis
    lines: tuple[Line, ...]
    spells: tuple[tuple[float, float], ...] = ()
    """From and width of each time in which something waited."""
    gaps: tuple[tuple[float, float], ...] = ()
    """From and width of each time without samples."""
    marks: tuple[Mark, ...] = ()
    rule: Rule | None = None
    share: bool = False

    @property
    def y_ticks(self) -> tuple[tuple[str, float], ...]:
        """Text and place of each."""
        shown = [f"{value:.0%}" if self.share else f"{value:g}" for value in self.y.ticks(4)]
        return tuple(zip(shown, map(self.y.at, self.y.ticks(4)), strict=True))

    @property
    def x_ticks(self) -> tuple[tuple[str, float], ...]:
        """Seconds since the load began, or minutes where there are many."""
        minutes = self.x.high > 600
        return tuple(
            (f"{value / 60:g} min" if minutes else f"{value:g} s", self.x.at(value))
            for value in self.x.ticks(9)
        )


def fits(capacity: float) -> str:
    """How many requests fit a cache, to the two decimals that engines print."""
    return f"{capacity:.2f}".rstrip("0").rstrip(".")


def panels(
    found: Overview, engine: Watched | None, capacity: float | None, *, client: bool = True
) -> tuple[Panel, ...]:
    """The drawings over time: the client's bins, and one engine's samples beside them.

    Without ``client`` those are left out that show the client alone.
    """
    bins = found.bins
    if not bins:
        return ()
    begun = bins[0].begun_unix_ns
    ended = max(each[-1].ended_unix_ns for each in (bins, found.flow))
    x = Axis(0.0, (ended - begun) / _S, LEFT, RIGHT)
    drawing = _Drawing(begun, x, found, engine)
    latencies = (
        drawing.latency("Time to first token (TTFT)", "ttft_p50_ms", "ttft_p95_ms", "p95"),
        drawing.latency(
            "Gap between tokens (ITL)", "itl_p50_ms", "stall_p95_ms", "p95 of the longest gaps"
        ),
    )
    drawn = (
        drawing.requests(capacity),
        *(latencies if client else ()),
        drawing.throughput(),
        drawing.cache(),
        drawing.failures() if client else None,
    )
    return tuple(panel for panel in drawn if panel is not None)


class _Drawing:
    """One axis of time, and what is drawn along it."""

    def __init__(self, begun_ns: int, x: Axis, found: Overview, engine: Watched | None) -> None:
        self.begun_ns, self.x = begun_ns, x
        self.bins, self.wide = found.flow, found.bins
        self.steps = found.staircase.steps
        self.engine = engine if engine and not engine.sampled.absent else None

    def place(self, unix_ns: int) -> float:
        return self.x.at((unix_ns - self.begun_ns) / _S)

    def requests(self, capacity: float | None) -> Panel:
        engine = self.engine
        values = [each.in_flight for each in self.bins]
        lines: list[tuple[str, str, Callable[[Axis], str]]] = [
            ("client: under way", "client", self.binned(lambda each: each.in_flight)),
        ]
        if len({each.load for each in self.bins if each.load is not None}) > 1:
            values += [each.load for each in self.bins if each.load is not None]
            lines.append(("load asked for", "asked", self.asked()))
        for quantity, label, css in (
            (Quantity.RUNNING, "engine: running", "running"),
            (Quantity.WAITING, "engine: waiting", "waiting"),
        ):
            told = self.told(quantity)
            if told:
                values += told
                lines.append((label, css, self.sampled(quantity)))
        rule = None
        if capacity is not None and capacity <= 4 * max(values):
            values.append(capacity)
            rule = capacity
        y = self.upright(values, zero=True)
        waited = engine.waited if engine else ()
        return self.panel(
            "Requests",
            "",
            "What the client has under way, and what the engine says it runs and lets wait.",
            y,
            lines,
            spells=tuple(
                (start, max(2.0, self.place(each.ended_unix_ns) - start))
                for each in waited
                for start in [self.place(each.begun_unix_ns)]
            ),
            rule=Rule(y.at(rule), f"{fits(rule)} of full length fit the KV cache")
            if rule
            else None,
            gaps=self.gaps() if engine else (),
        )

    def latency(self, title: str, middle: str, tail: str, tail_label: str) -> Panel | None:
        values = [
            value
            for each in self.wide
            for value in (getattr(each, middle), getattr(each, tail))
            if value is not None
        ]
        if not values:
            return None
        return self.panel(
            title,
            "ms",
            "Of the requests that were due at that time.",
            self.upright(values),
            [
                ("p50", "client", self.binned(lambda each: getattr(each, middle), self.wide)),
                (tail_label, "tail", self.binned(lambda each: getattr(each, tail), self.wide)),
            ],
        )

    def throughput(self) -> Panel | None:
        values = [each.tokens_per_s for each in self.bins]
        lines = [
            ("client: received", "client", self.binned(lambda each: each.tokens_per_s)),
        ]
        told = rates(self.engine.sampled, Quantity.GENERATED) if self.engine else ()
        if told:
            values += [rate for run in told for _, _, rate in run]
            lines.append(
                (
                    "engine: generated",
                    "running",
                    lambda y: "".join(
                        stairs(
                            (self.place(begun), self.place(ended), y.at(rate))
                            for begun, ended, rate in run
                        )
                        for run in told
                    ),
                )
            )
        if not any(values):
            return None
        return self.panel(
            "Throughput",
            "tokens/s",
            "Answer tokens; the client's are those of whole answers, spread evenly over each.",
            self.upright(values, zero=True),
            lines,
            gaps=self.gaps() if told else (),
        )

    def cache(self) -> Panel | None:
        used = self.told(Quantity.KV)
        if self.engine is None or not used:
            return None
        thrown = rates(self.engine.sampled, Quantity.PREEMPTIONS)
        marks = tuple(
            Mark(
                self.place((begun + ended) // 2),
                f"{rate * (ended - begun) / _S:.0f} preempted, "
                f"{(begun - self.begun_ns) / _S:.1f} to {(ended - self.begun_ns) / _S:.1f} s",
            )
            for run in thrown
            for begun, ended, rate in run
            if rate > 0
        )
        y = axis((), TOP + HEIGHT, TOP, share=True)
        return self.panel(
            "KV cache",
            "in use",
            f"As the engine says, at most {100 * max(used):.3g} %; a mark is a time in which it "
            "threw requests out of the cache.",
            y,
            [("engine: in use", "running", self.sampled(Quantity.KV))],
            marks=marks,
            share=True,
            gaps=self.gaps(),
        )

    def failures(self) -> Panel | None:
        failed = [float(each.failed) for each in self.bins]
        given_up = [float(each.given_up) for each in self.bins]
        lines = []
        if any(failed):
            lines.append(("failed", "failed", self.binned(lambda each: float(each.failed))))
        if any(given_up):
            lines.append(("given up", "asked", self.binned(lambda each: float(each.given_up))))
        if not lines:
            return None
        return self.panel(
            "Not answered" if any(given_up) else "Failures",
            "requests",
            "Requests due at that time whose answer was not whole."
            + (" Those given up are no failures: their level was cut short." * any(given_up)),
            self.upright([*failed, *given_up], zero=True),
            lines,
        )

    def panel(
        self,
        title: str,
        unit: str,
        lead: str,
        y: Axis,
        lines: Iterable[tuple[str, str, Callable[[Axis], str]]],
        *,
        spells: tuple[tuple[float, float], ...] = (),
        gaps: tuple[tuple[float, float], ...] = (),
        marks: tuple[Mark, ...] = (),
        rule: Rule | None = None,
        share: bool = False,
    ) -> Panel:
        drawn = tuple(Line(label, css, draw(y)) for label, css, draw in lines)
        return Panel(
            title=title,
            unit=f"{unit}, logarithmic" if y.log else unit,
            lead=lead,
            y=y,
            x=self.x,
            lines=tuple(line for line in drawn if line.path),
            spells=spells,
            gaps=gaps,
            marks=marks,
            rule=rule,
            share=share,
        )

    def upright(self, values: Iterable[float], *, zero: bool = False) -> Axis:
        return axis([*values, 0.0] if zero else values, TOP + HEIGHT, TOP)

    def binned(
        self, value: Callable[[Bin], float | None], bins: Sequence[Bin] | None = None
    ) -> Callable[[Axis], str]:
        def draw(y: Axis) -> str:
            return stairs(
                (
                    self.place(each.begun_unix_ns),
                    self.place(each.ended_unix_ns),
                    None if (found := value(each)) is None else y.at(found),
                )
                for each in (self.bins if bins is None else bins)
            )

        return draw

    def asked(self) -> Callable[[Axis], str]:
        """The load in force: as the steps tell exactly, or else by bins."""
        if not self.steps:
            return self.binned(lambda each: each.load)
        steps = sorted(self.steps, key=lambda step: step.begun_unix_ns)
        places = [self.place(step.begun_unix_ns) for step in steps]
        places.append(self.place(steps[-1].ended_unix_ns))

        def draw(y: Axis) -> str:
            ends = zip(places, places[1:], steps, strict=False)
            return stairs((begun, ended, y.at(step.load)) for begun, ended, step in ends)

        return draw

    def told(self, quantity: Quantity) -> list[float]:
        if self.engine is None:
            return []
        samples = self.engine.sampled.samples
        return [each.said[quantity] for each in samples if quantity in each.said]

    def sampled(self, quantity: Quantity) -> Callable[[Axis], str]:
        def draw(y: Axis) -> str:
            runs = self.engine.sampled.stretches() if self.engine else ()
            return "".join(self._held(run, quantity, y) for run in runs)

        return draw

    def _held(self, run: Sequence[Sample], quantity: Quantity, y: Axis) -> str:
        """Each sample is held until the next, the last for a beat: nothing lies in between."""
        told = [each for each in run if quantity in each.said]
        if not told:
            return ""
        places = thinned([(self.place(middle_ns(each)), each.said[quantity]) for each in told])
        after = self.place(middle_ns(told[-1]) + round(told[-1].every_s * _S))
        ends = [x for x, _ in places[1:]] + [max(after, places[-1][0])]
        return stairs((x, end, y.at(value)) for (x, value), end in zip(places, ends, strict=True))

    def gaps(self) -> tuple[tuple[float, float], ...]:
        """From and width of what no sample covers."""
        if self.engine is None:
            return ()
        found, covered = [], float(LEFT)
        for run in self.engine.sampled.stretches():
            begun = self.place(middle_ns(run[0]) - round(run[0].every_s * _S))
            if begun - covered > 1:
                found.append((covered, begun - covered))
            covered = max(covered, self.place(middle_ns(run[-1]) + round(run[-1].every_s * _S)))
        if RIGHT - covered > 1:
            found.append((covered, RIGHT - covered))
        return tuple(found)
