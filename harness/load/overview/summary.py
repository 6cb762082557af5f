"""What many rows come to, in bounded memory: figures with their intervals, and a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import fmean, pvariance
from typing import TYPE_CHECKING

from harness.load.goodput import METRICS, Objective
from harness.load.overview.thinned import Thinned
from harness.statistics import Histogram, bounding_ranks, memory, share_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.load.journal.rows import Row
    from harness.statistics import Share

_NS = 1_000_000
_MOST_GROUPS = 4096
_FEW_LEVELS = 1
_SEVERAL = (
    "the load changed on the way: what differs between its levels widens the intervals above; "
    "the page of the run shows it over time and by level"
)
SHOWN = ("ttft", "visible", "itl", "stall", "tpot", "e2e", "ttft-from-due", "queue")
"""The metrics of the table, in its order."""
QUANTILES = (0.5, 0.95, 0.99)


class Shares:
    """A series of successes and failures in order of time, as means of equal groups."""

    def __init__(self) -> None:
        self.good = self.n = 0
        self._size = 1
        self._open: list[float] = []
        self._means: list[float] = []

    def add(self, *, good: bool) -> None:
        """Count one more."""
        self.n += 1
        self.good += good
        self._open.append(float(good))
        if len(self._open) == self._size:
            self._means.append(fmean(self._open))
            self._open.clear()
        if len(self._means) == _MOST_GROUPS:
            self._means = [fmean(pair) for pair in zip(*[iter(self._means)] * 2, strict=True)]
            self._size *= 2

    def share(self) -> Share:
        """The share of successes, with an interval that allows for neighbours sharing their fate.

        It is that of so many fewer independent requests as these make its variance larger, by the
        variance of the means of groups and their `memory` (batch means). Of equal fates nothing is
        known of what neighbours share, and they count as independent.

        Raises:
            ValueError: nothing was counted.
        """
        if not 0 < self.good < self.n:
            return share_of(self.good, self.n)
        means, size = (self._means, self._size) if self._means else (self._open, 1)
        value = self.good / self.n
        correlation = size * pvariance(means) * memory(means) / (value * (1 - value))
        return share_of(self.good, self.n, correlation=min(self.n, max(1.0, correlation)))


@dataclass(slots=True)
class Group:
    """All requests of one name."""

    n: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    times: dict[str, Histogram] = field(default_factory=dict)
    kept: dict[str, Thinned] = field(default_factory=dict)
    """Of each metric, in the order in which they ended."""
    shares: Shares = field(default_factory=Shares)
    tokens: int = 0
    merged: int = 0
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """A quantile in milliseconds with its 95 % interval; a bound is None where ``n`` is too few."""

    value: float
    low: float | None
    high: float | None
    n: int

    def __str__(self) -> str:
        low, high = (_short(end) if end is not None else "-" for end in (self.low, self.high))
        return f"{_short(self.value)} [{low}, {high}]"


class Summary:
    """Rows go in, in the order in which they ended; memory does not grow with their number."""

    def __init__(self, slo: Sequence[Objective] = ()) -> None:
        self.groups: dict[str, Group] = {}
        self.first_due_ns: int | None = None
        self.last_ended_ns = 0
        self._slo = tuple(slo)
        self._loads: set[float] = set()

    @property
    def n(self) -> int:
        """How many requests."""
        return sum(group.n for group in self.groups.values())

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(group.failures.total() for group in self.groups.values())

    @property
    def seconds(self) -> float:
        """From when the first was due until the last answer had ended.

        Not until the last was due: of a closed loop that would count the answers of its last round
        and leave out their time, and promise up to twice of what was delivered.
        """
        begun = self.last_ended_ns if self.first_due_ns is None else self.first_due_ns
        return (self.last_ended_ns - begun) / 1e9

    def add(self, row: Row) -> None:
        """Count one more row."""
        met = row.met
        group = self.groups.setdefault(row.name, Group())
        group.n += 1
        group.tokens += met.tokens
        group.merged += met.merged
        group.chunks += met.chunks
        if not met.whole:
            group.failures[row.failure] += 1
        for metric in SHOWN:
            value = getattr(met, METRICS[metric])
            if value is not None:
                if metric not in group.times:
                    group.times[metric], group.kept[metric] = Histogram(), Thinned()
                group.times[metric].add(max(0, round(value * _NS)))
                group.kept[metric].add(value)
        group.shares.add(good=met.whole and all(limit.held_by(met) for limit in self._slo))
        if len(self._loads) <= _FEW_LEVELS:
            self._loads.add(row.load)
        due = row.due_unix_ns
        self.first_due_ns = due if self.first_due_ns is None else min(self.first_due_ns, due)
        self.last_ended_ns = max(self.last_ended_ns, row.ended_unix_ns)

    def figure(self, name: str, metric: str, q: float) -> Figure | None:
        """The ``q`` quantile of a metric, or None where no request of ``name`` has it.

        The interval is that of order statistics (`bounding_ranks`), of as many requests as those
        of a queue are worth by what neighbours have in common (`Thinned`).
        """
        times = self.groups[name].times.get(metric)
        if times is None:
            return None
        n = times.n
        low, high = bounding_ranks(n, q, correlation=self.groups[name].kept[metric].correlation(q))
        return Figure(
            value=times.quantile(q) / _NS,
            low=None if low is None else times.quantile((low - 0.5) / n) / _NS,
            high=None if high is None else times.quantile((high - 0.5) / n) / _NS,
            n=n,
        )

    def lines(self, *, slo: str) -> list[str]:
        """The table: a line for each name and phase, then failures and goodput."""
        head = ("model", "phase", *(f"p{q * 100:g} ms [95 %]" for q in QUANTILES), "n")
        table: list[tuple[str, ...]] = [head]
        for name in sorted(self.groups):
            for metric in self._shown(name):
                figures = [self.figure(name, metric, q) for q in QUANTILES]
                if figures[0] is not None:
                    n = str(figures[0].n)
                    table.append((name, metric.upper(), *map(str, figures), n))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        lines.append("")
        lines += [self._told(name, slo) for name in sorted(self.groups)]
        if len(self._loads) > _FEW_LEVELS:
            lines.append(_SEVERAL)
        return lines

    def _shown(self, name: str) -> list[str]:
        """First visible tokens are told apart from first tokens only where they are others."""
        times = self.groups[name].times
        same = times.get("visible") == times.get("ttft")
        return [metric for metric in SHOWN if not (same and metric == "visible")]

    def _told(self, name: str, slo: str) -> str:
        group = self.groups[name]
        share, over_s = group.shares.share(), self.seconds
        per_s = (
            f", {share.value * share.n / over_s:.2f}/s over {_short(over_s)} s" if over_s else ""
        )
        kinds = ", ".join(f"{n} {kind}" for kind, n in group.failures.most_common()) or "none"
        merged = f"; {group.merged / group.chunks:.1%} of chunks merged" if group.merged else ""
        return (
            f"{name}: {group.n} requests, failures: {kinds}; goodput {share.value:.1%} "
            f"[{share.low:.1%}, {share.high:.1%}]{per_s} at '{slo}'{merged}"
        )


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}" if value >= 0.01 else f"{value:.0g}"
