"""What many rows come to, in bounded memory: figures with their intervals, and a table."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

from harness.load.goodput import METRICS, Objective
from harness.statistics import Histogram, bootstrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.load.journal.rows import Row
    from harness.statistics import Bootstrapped

_NS = 1_000_000
_MOST_GROUPS = 4096
_Z = NormalDist().inv_cdf(0.975)
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

    def share(self, seed: int) -> Bootstrapped:
        """The share of successes, with an interval that allows for neighbours sharing their fate.

        Raises:
            ValueError: nothing was counted.
        """
        return bootstrap(self._means or self._open, fmean, seed=seed)


@dataclass(slots=True)
class Group:
    """All requests of one name."""

    n: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    times: dict[str, Histogram] = field(default_factory=dict)
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
        self.last_due_ns = 0
        self._slo = tuple(slo)

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
        """From when the first was due until the last was."""
        return (self.last_due_ns - (self.first_due_ns or self.last_due_ns)) / 1e9

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
                times = group.times.setdefault(metric, Histogram())
                times.add(max(0, round(value * _NS)))
        group.shares.add(good=met.whole and all(limit.held_by(met) for limit in self._slo))
        self.first_due_ns = min(self.first_due_ns or row.due_unix_ns, row.due_unix_ns)
        self.last_due_ns = max(self.last_due_ns, row.due_unix_ns)

    def figure(self, name: str, metric: str, q: float) -> Figure | None:
        """The ``q`` quantile of a metric, or None where no request of ``name`` has it.

        The interval is that of order statistics with normal ranks (David and Nagaraja, Order
        Statistics, 7.1); it takes requests as independent, which a queue makes them not.
        """
        times = self.groups[name].times.get(metric)
        if times is None:
            return None
        n = times.n
        low, high = ranks(n, q)
        return Figure(
            value=times.quantile(q) / _NS,
            low=None if low is None else times.quantile(low / n) / _NS,
            high=None if high is None else times.quantile(high / n) / _NS,
            n=n,
        )

    def lines(self, *, slo: str, seed: int = 1) -> list[str]:
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
        lines += [self._told(name, slo, seed) for name in sorted(self.groups)]
        return lines

    def _shown(self, name: str) -> list[str]:
        """First visible tokens are told apart from first tokens only where they are others."""
        times = self.groups[name].times
        same = times.get("visible") == times.get("ttft")
        return [metric for metric in SHOWN if not (same and metric == "visible")]

    def _told(self, name: str, slo: str, seed: int) -> str:
        group = self.groups[name]
        share = group.shares.share(seed)
        interval = "" if share.interval is None else f" [{share.interval[0]:.1%}, {share.high:.1%}]"
        per_s = f", {group.shares.good / self.seconds:.2f}/s" if self.seconds > 0 else ""
        kinds = ", ".join(f"{n} {kind}" for kind, n in group.failures.most_common()) or "none"
        merged = f"; {group.merged / group.chunks:.1%} of chunks merged" if group.merged else ""
        return (
            f"{name}: {group.n} requests, failures: {kinds}; goodput {share.value:.1%}{interval}"
            f"{per_s} at '{slo}'{merged}"
        )


def ranks(n: int, q: float) -> tuple[int | None, int | None]:
    """The ranks, from 1, of the samples that bound the ``q`` quantile of ``n`` at 95 %."""
    half = _Z * math.sqrt(n * q * (1 - q))
    low, high = math.floor(n * q - half), math.ceil(n * q + half) + 1
    return low if low >= 1 else None, high if high <= n else None


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}" if value >= 0.01 else f"{value:.0g}"
