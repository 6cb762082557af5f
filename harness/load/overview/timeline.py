"""A load over time, in few enough pieces to draw: bounded memory, however long it was."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.load.sampling.aligned import sent_unix_ns
from harness.statistics import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.load.journal.rows import Row

MOST_BINS = 160
LEAST_BINS = 12
TAIL = 20
"""Requests that a 95th percentile needs at least: of fewer it is their largest."""
GIVEN_UP = "given-up"
"""Label of a request that the client ended on purpose, when its level was cut short because what
was promised was broken beyond doubt (`harness.load.finding.looking`)."""
_US = 1000.0
_MS = 1e6
_S = 1e9


def was_given_up(row: Row) -> bool:
    """Whether ``row`` has no whole answer because its level was cut short: no failure."""
    return not row.met.whole and GIVEN_UP in row.labels


class Spread:
    """Amounts spread evenly over times, summed in bins between ascending ``edges`` (ns)."""

    def __init__(self, edges: Sequence[int]) -> None:
        self.edges = edges
        self.sums = [0.0] * (len(edges) - 1)

    def add(self, begun_ns: int, ended_ns: int, amount: float) -> None:
        """Spread ``amount`` over that time; what falls outside the edges is lost."""
        if ended_ns <= begun_ns:
            number = bisect_right(self.edges, begun_ns) - 1
            if 0 <= number < len(self.sums):
                self.sums[number] += amount
            return
        density = amount / (ended_ns - begun_ns)
        number = max(0, bisect_right(self.edges, begun_ns) - 1)
        while number < len(self.sums) and self.edges[number] < ended_ns:
            begun = max(begun_ns, self.edges[number])
            self.sums[number] += density * (min(ended_ns, self.edges[number + 1]) - begun)
            number += 1

    def by_second(self) -> list[float]:
        """The sum of each bin, by the seconds of the bin."""
        widths = zip(self.edges, self.edges[1:], strict=False)
        return [
            amount * _S / (ended - begun)
            for amount, (begun, ended) in zip(self.sums, widths, strict=True)
        ]


def spread_answer(row: Row, tokens: Spread, flights: Spread) -> None:
    """Spread the tokens of an answer over the time they came in, and its time under way.

    Tokens are taken to have come evenly from the first to the end of the stream. One that was
    not whole has no tokens: what it brought is of no use to anybody.
    """
    sent = sent_unix_ns(row)
    flights.add(sent, row.ended_unix_ns, (row.ended_unix_ns - sent) / _S)
    met = row.met
    if met.tokens and met.e2e_ms is not None:
        first = sent + round((met.ttft_ms or 0.0) * _MS)
        tokens.add(first, sent + round(met.e2e_ms * _MS), met.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """What was met within one piece of time. Latencies are of the requests due in it, in ms."""

    begun_unix_ns: int
    ended_unix_ns: int
    load: float | None
    """In force for the last request due in it; None if none was."""
    due: int
    failed: int
    """Of those due in it."""
    given_up: int
    """Of those due in it, and none of the failed: see `was_given_up`."""
    in_flight: float
    """Requests under way in the client's view, on average over the bin."""
    tokens_per_s: float
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    """None below `TAIL` requests."""
    itl_p50_ms: float | None
    """Median over the requests of the median gap of each."""
    stall_p95_ms: float | None
    """95th percentile over the requests of the longest gap of each."""


@dataclass(slots=True)
class _Filling:
    ttft: Histogram = field(default_factory=Histogram)
    itl: Histogram = field(default_factory=Histogram)
    stall: Histogram = field(default_factory=Histogram)
    load: tuple[int, float] | None = None
    due: int = 0
    failed: int = 0
    given_up: int = 0

    def add(self, row: Row) -> None:
        given_up = was_given_up(row)
        self.due += 1
        self.given_up += given_up
        self.failed += not row.met.whole and not given_up
        if self.load is None or row.due_unix_ns >= self.load[0]:
            self.load = row.due_unix_ns, row.load
        for histogram, value in (
            (self.ttft, row.met.ttft_ms),
            (self.itl, row.met.itl_ms),
            (self.stall, row.met.stall_ms),
        ):
            if value is not None:
                histogram.add(max(0, round(value * _US)))


def timeline(
    rows: Iterable[Row], *, each: int = 2 * TAIL, most: int = MOST_BINS
) -> tuple[Bin, ...]:
    """Cut the time from the first request due to the last ended into bins of one round width.

    The last ends where the load did. There are as many bins as ``each`` requests can fill,
    `LEAST_BINS` to ``most``. ``rows`` is gone through twice and not kept; it may be in any order.
    Empty without rows.
    """
    begun, ended, n = _span(rows)
    if not n:
        return ()
    wanted = min(most, max(LEAST_BINS, n // each))
    width = _round_up_ns((ended - begun) / wanted)
    edges = [*range(begun, ended, width), max(ended, begun + 1)]
    tokens, flights = Spread(edges), Spread(edges)
    filled = [_Filling() for _ in tokens.sums]
    for row in rows:
        filled[min((row.due_unix_ns - begun) // width, len(filled) - 1)].add(row)
        spread_answer(row, tokens, flights)
    return tuple(
        Bin(
            begun_unix_ns=edges[number],
            ended_unix_ns=edges[number + 1],
            load=fill.load[1] if fill.load else None,
            due=fill.due,
            failed=fill.failed,
            given_up=fill.given_up,
            in_flight=in_flight,
            tokens_per_s=per_s,
            ttft_p50_ms=_ms(fill.ttft, 0.5, 1),
            ttft_p95_ms=_ms(fill.ttft, 0.95, TAIL),
            itl_p50_ms=_ms(fill.itl, 0.5, 1),
            stall_p95_ms=_ms(fill.stall, 0.95, TAIL),
        )
        for number, (fill, in_flight, per_s) in enumerate(
            zip(filled, flights.by_second(), tokens.by_second(), strict=True)
        )
    )


def _span(rows: Iterable[Row]) -> tuple[int, int, int]:
    begun, ended, n = 0, 0, 0
    for row in rows:
        begun = row.due_unix_ns if not n else min(begun, row.due_unix_ns)
        ended = max(ended, row.ended_unix_ns, row.due_unix_ns)
        n += 1
    return begun, ended, n


def _ms(histogram: Histogram, q: float, least: int) -> float | None:
    return histogram.quantile(q) / _US if histogram.n >= least else None


def _round_up_ns(width_ns: float) -> int:
    """The next 1, 2 or 5 times a power of ten, from a millisecond on."""
    power = 1_000_000
    while True:
        for factor in (1, 2, 5):
            if factor * power >= width_ns:
                return factor * power
        power *= 10
