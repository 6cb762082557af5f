"""How far a client was off: what it says of answers, beside the ledger of who sent them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from harness import answer as answers
from harness.load.trust.reference import tag
from harness.statistics import quantile
from harness.wire import Clock, End
from harness.wire.engine import Lags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.load.trust.reference import Written
    from harness.statistics import Estimate
    from harness.wire import Exchange
    from harness.wire.engine import Recorded, Vitals

_MS = 1e6
_NS = 1e9
_MOST_READ = 8_000
_OPENING_READS = 4
_ENDED = (End.KEPT, End.EOF)
_CONFIDENT = 1.96


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure as the client would have reported it, and the same one of the ledger."""

    said_ms: float
    true_ms: float
    n: int
    interval: tuple[float, float] | None = None
    """What `off` is over the ranks between which the quantile lies with 95 % confidence; None
    where so few samples do not bound it."""

    @property
    def off(self) -> float:
        """How wrong it is, as a share of the truth; negative: the client says too little."""
        return _off(self.said_ms, self.true_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What the engine knows of its own delays, over one stretch of time."""

    loop_lag: Lags = field(default_factory=Lags)
    dispatch_lag: Lags = field(default_factory=Lags)
    receive_lag: Lags = field(default_factory=Lags)
    """How long reads lay in the kernel; empty without its stamps."""
    cpu_s: float | None = None
    """CPU time of the engine's thread."""
    seconds: float = 0.0

    @property
    def cpu_share(self) -> float | None:
        """Of one core; None where the platform does not tell."""
        return self.cpu_s / self.seconds if self.cpu_s is not None and self.seconds > 0 else None


def signs(
    before: Vitals, after: Vitals, *, seconds: float, receive_lag: Lags | None = None
) -> Signs:
    """What happened between two looks at one engine, ``seconds`` apart."""
    known = before.cpu_s is not None and after.cpu_s is not None
    return Signs(
        loop_lag=since(before.loop_lag, after.loop_lag),
        dispatch_lag=since(before.dispatch_lag, after.dispatch_lag),
        receive_lag=receive_lag or Lags(),
        cpu_s=(after.cpu_s or 0.0) - (before.cpu_s or 0.0) if known else None,
        seconds=seconds,
    )


def since(before: Lags, after: Lags) -> Lags:
    """Those of ``after`` that were not in ``before`` yet; the largest is then a rounded one."""
    old = before.counts
    counts = {at: n - old.get(at, 0) for at, n in after.counts.items() if n > old.get(at, 0)}
    most = after.most_ns if after.most_ns > before.most_ns else max(counts, default=0)
    return Lags(counts, most)


def receive_lags(recorded: Iterable[Recorded]) -> Lags:
    """How long the reads of all of them lay in the kernel."""
    found = Lags()
    for one in recorded:
        for lag in one.receive_lags_ns:
            found.add(lag)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """What the client said of reference answers, held against the ledger of the server.

    The truth of a token is the moment within its write (the ledger has both ends of it) that is
    nearest to what the client says; a time to first token truly begins when the request arrived.
    Every figure is of the same answers on both sides, so its error is no estimate: the estimates
    are of the errors of single answers and tokens, and carry their intervals.
    """

    streams: int
    """Under way at once."""
    rate: float
    """Tokens a second of each stream, as asked."""
    delivered: float
    """Share of the tokens a second, as asked, that the server did send: 1 is all."""
    answers: int
    lost: int
    """Answers of which the client and the ledger do not tell the same tokens."""
    tokens: int
    """Of the answers that were read to their end."""
    merged: int
    """Tokens that shared a read: what the client knows of them is an interval."""
    user_clock: int
    """Answers stamped by the client's own clock, not by the kernel."""
    ttft_p50: Figure | None
    ttft_p99: Figure | None
    itl_p50: Figure | None
    itl_p99: Figure | None
    ttft_error_p50: Estimate | None
    """Of single answers, in milliseconds, without the sign."""
    ttft_error_p99: Estimate | None
    itl_error_p50: Estimate | None
    """Of single gaps, likewise."""
    itl_error_p99: Estimate | None
    signs: Signs

    @property
    def merged_share(self) -> float:
        """Of all tokens."""
        return self.merged / self.tokens if self.tokens else 0.0


@dataclass(slots=True)
class _Pairs:
    """Times said and true, in milliseconds."""

    said: list[float] = field(default_factory=list)
    true: list[float] = field(default_factory=list)

    def add(self, said_ns: int, true_ns: int) -> None:
        self.said.append(said_ns / _MS)
        self.true.append(true_ns / _MS)

    def figure(self, q: float) -> Figure | None:
        n = len(self.said)
        if not n:
            return None
        said, true = sorted(self.said), sorted(self.true)
        rank, reach = int(q * n), math.ceil(_CONFIDENT * math.sqrt(n * q * (1 - q)))
        interval = None
        if rank - reach >= 0 and rank + reach < n:
            near = range(rank - reach, rank + reach + 1)
            offs = [_off(said[at], true[at]) for at in near]
            interval = min(offs), max(offs)
        return Figure(said[rank], true[rank], n, interval)

    def error(self, q: float) -> Estimate | None:
        if not self.said:
            return None
        return quantile([abs(a - b) for a, b in zip(self.said, self.true, strict=True)], q)


def errors(
    recorded: Sequence[Recorded],
    ledger: Mapping[str, Written],
    *,
    streams: int,
    rate: float,
    signs: Signs,
) -> Errors:
    """Hold ``recorded`` against ``ledger``.

    Of very many answers all are read to the first token, and every k-th to the end.
    """
    ttft, itl = _Pairs(), _Pairs()
    lost = tokens = merged = user_clock = 0
    step = -(-sum(len(written.after) for written in ledger.values()) // _MOST_READ) or 1
    for number, one in enumerate(recorded):
        written = ledger.get(tag(one.request))
        whole = number % step == 0
        answer = answers.read(one.exchange if whole else _opening(one.exchange))
        sent_ns = one.exchange.sent_ns
        deltas = answer.deltas
        if (
            written is None
            or sent_ns is None
            or not (deltas and written.whole and one.end in _ENDED)
            or (whole and not (answer.wholeness and len(deltas) == len(written.after)))
        ):
            lost += 1
            continue
        said = [delta.at_ns for delta in deltas]
        true = [
            min(max(at, before), after)
            for at, before, after in zip(said, written.before, written.after, strict=whole)
        ]
        ttft.add(said[0] - sent_ns, true[0] - written.arrived_ns)
        user_clock += one.exchange.clock is Clock.USER
        if whole:
            for (a, b), (c, d) in zip(pairwise(said), pairwise(true), strict=True):
                itl.add(b - a, d - c)
            tokens += len(deltas)
            merged += sum(delta.merged for delta in deltas)
    return Errors(
        streams=streams,
        rate=rate,
        delivered=_delivered(itl.true, rate),
        answers=len(recorded),
        lost=lost,
        tokens=tokens,
        merged=merged,
        user_clock=user_clock,
        ttft_p50=ttft.figure(0.5),
        ttft_p99=ttft.figure(0.99),
        itl_p50=itl.figure(0.5),
        itl_p99=itl.figure(0.99),
        ttft_error_p50=ttft.error(0.5),
        ttft_error_p99=ttft.error(0.99),
        itl_error_p50=itl.error(0.5),
        itl_error_p99=itl.error(0.99),
        signs=signs,
    )


def _opening(exchange: Exchange) -> Exchange:
    """Its reads until the first token has surely come, if any has."""
    return replace(exchange, reads=exchange.reads[:_OPENING_READS])


def _delivered(gaps_ms: Sequence[float], rate: float) -> float:
    mean_ms = sum(gaps_ms) / len(gaps_ms) if gaps_ms else 0.0
    return min(1.0, 1000 / rate / mean_ms) if mean_ms > 0 else 0.0


def _off(said_ms: float, true_ms: float) -> float:
    return said_ms / true_ms - 1 if true_ms > 0 else 0.0
