"""What each level of a load delivered: the steps of a staircase, each figure with its interval."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING

from harness.load.goodput import METRICS
from harness.load.overview.thinned import Thinned
from harness.load.overview.timeline import Spread, spread_answer, was_given_up
from harness.statistics import mean, memory_at, quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.load.journal.rows import Row
    from harness.statistics import Estimate, Mean

MOST_STEPS = 48
FIGURES = (("ttft", 0.5), ("ttft", 0.95), ("itl", 0.5), ("stall", 0.95), ("e2e", 0.5))
"""The metrics and quantiles of a step."""
_PIECES = 40
"""Into how many pieces a step is cut to see how its throughput varies."""
_OVERLAP = 0.1
_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One level of load: the requests due at it, and what was delivered once it had settled.

    Throughput is of the time from ``settled`` to ``ended``, whoever asked for it: what is still
    under way from the level before belongs to the level before. It settles for the median whole
    answer of the level, at most for half of it.
    """

    load: float
    begun_unix_ns: int
    settled_unix_ns: int
    ended_unix_ns: int
    due: int
    failed: int
    given_up: int
    """None of the failed: the level was cut short (`harness.load.overview.timeline`)."""
    in_flight: float
    """Requests under way, on average over the settled time."""
    tokens_per_s: Mean
    figures: Mapping[tuple[str, float], Estimate]
    """Those of `FIGURES` that any request has, in ms."""


@dataclass(frozen=True, slots=True)
class Staircase:
    """The steps by load, ascending; without any, why there is none."""

    steps: tuple[Step, ...]
    why: str = ""

    def speedup(self, step: Step) -> tuple[float, tuple[float, float] | None] | None:
        """Throughput by that of the lowest step, and the lowest and highest that both allow.

        The interval is that of two which miss together, so it is on the safe side; None where
        either has none. None where the lowest step delivered nothing.
        """
        first, own = self.steps[0].tokens_per_s, step.tokens_per_s
        if not first.value > 0:
            return None
        ratio = own.value / first.value
        if first.interval is None or own.interval is None or not first.interval[0] > 0:
            return ratio, None
        return ratio, (own.interval[0] / first.interval[1], own.interval[1] / first.interval[0])


@dataclass(slots=True)
class _Level:
    begun: int
    ended: int
    due: int = 0
    failed: int = 0
    given_up: int = 0
    kept: dict[str, Thinned] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        self.begun, self.ended = min(self.begun, row.due_unix_ns), max(self.ended, row.due_unix_ns)
        given_up = was_given_up(row)
        self.due += 1
        self.given_up += given_up
        self.failed += not row.met.whole and not given_up
        for metric in {metric for metric, _ in FIGURES}:
            value = getattr(row.met, METRICS[metric])
            if value is not None:
                self.kept.setdefault(metric, Thinned()).add(value)


def staircase(rows: Iterable[Row]) -> Staircase:
    """Sum up ``rows`` by the load in force when they were due.

    They are gone through twice and not kept. A load that changes all the time, or comes back to
    a level, has no steps, and says so.
    """
    levels: dict[float, _Level] = {}
    for row in rows:
        if row.load not in levels:
            if len(levels) == MOST_STEPS:
                return Staircase((), f"the load took more than {MOST_STEPS} values")
            levels[row.load] = _Level(row.due_unix_ns, row.due_unix_ns)
        levels[row.load].add(row)
    windows = _windows(levels)
    if not windows:
        why = "the load went back and forth between its levels" if levels else "nothing was due"
        return Staircase((), why)
    pieces = {
        load: (Spread(edges), Spread(edges))
        for load, (_, settled, ended) in windows.items()
        for edges in [_edges(settled, ended)]
    }
    for row in rows:
        for load, (_, settled, ended) in windows.items():
            if row.due_unix_ns < ended and row.ended_unix_ns > settled:
                spread_answer(row, *pieces[load])
    steps = (_step(load, levels[load], windows[load], *pieces[load]) for load in sorted(levels))
    return Staircase(tuple(steps))


def _windows(levels: Mapping[float, _Level]) -> dict[float, tuple[int, int, int]]:
    """Begin, settled and end of each level; empty if they do not follow one another."""
    in_time = sorted(levels.items(), key=lambda item: item[1].begun)
    windows = {}
    for number, (load, level) in enumerate(in_time):
        ended = level.ended
        if number + 1 < len(in_time):
            after = in_time[number + 1][1].begun
            if ended - after > _OVERLAP * (ended - level.begun):
                return {}
            ended = after
        windows[load] = level.begun, level.begun + _settling(level, ended), ended
    return windows


def _settling(level: _Level, ended: int) -> int:
    whole = level.kept["e2e"].values if "e2e" in level.kept else []
    settle = quantile(whole, 0.5).value * _MS if whole else 0.0
    return round(min(settle, (ended - level.begun) / 2))


def _edges(settled: int, ended: int) -> Sequence[int]:
    span = max(ended - settled, _PIECES)
    return [settled + span * number // _PIECES for number in range(_PIECES + 1)]


def _step(
    load: float, level: _Level, window: tuple[int, int, int], tokens: Spread, flights: Spread
) -> Step:
    begun, settled, ended = window
    kept = {metric: thinned.values for metric, thinned in level.kept.items()}
    return Step(
        load=load,
        begun_unix_ns=begun,
        settled_unix_ns=settled,
        ended_unix_ns=ended,
        due=level.due,
        failed=level.failed,
        given_up=level.given_up,
        in_flight=fmean(flights.by_second()),
        tokens_per_s=_never_less_than_none(mean(tokens.by_second())),
        figures={
            (metric, q): quantile(kept[metric], q, correlation=memory_at(kept[metric], q))
            for metric, q in FIGURES
            if metric in kept
        },
    )


def _never_less_than_none(found: Mean) -> Mean:
    """An interval around a mean may reach below zero; a throughput does not."""
    return found if found.low is None else replace(found, low=max(0.0, found.low))
