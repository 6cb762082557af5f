"""What a client says it measured, and what the server's ledger says of the same requests."""

from __future__ import annotations

import json
import re
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.answer import read
from harness.load.timing import timing
from harness.wire import Clock, End, Exchange, Read, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.answer import Answer

_AT = re.compile(rb'"at":(\d+)')
_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One client at one concurrency. CPU seconds are of all its processes."""

    requests: int
    """Good answers."""
    ttft_p50_ms: float | None
    ttft_p99_ms: float | None
    itl_p50_ms: float | None
    cpu_s: float
    """While the load ran; of the whole process, start included, where nothing else is known."""
    more: dict[str, float] = field(default_factory=dict)


def quantile(values: Sequence[float], q: float) -> float:
    """The value at rank ``q``; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[round(q * (len(ordered) - 1))]


def told(answers: Sequence[Answer], lags_ns: Sequence[int]) -> dict[str, float]:
    """What our definitions make of ``answers``, and how far their stamps are from the server's."""
    timings = [found for one in answers if (found := timing(one))]
    ttft = [one.ttft_ms for one in timings]
    gaps = [gap for one in timings for gap in one.itl_ms]
    tokens = [
        (event, int(stamp[1]))
        for one in answers
        for event in one.events
        if (stamp := _AT.search(event.data))
    ]
    errors = [(event.at_ns - sent_ns) / _MS for event, sent_ns in tokens if not event.merged]
    return {
        "requests": len(timings),
        "ttft_p50_ms": quantile(ttft, 0.5),
        "ttft_p99_ms": quantile(ttft, 0.99),
        "itl_p50_ms": quantile(gaps, 0.5),
        "stamp_error_p50_ms": quantile(errors, 0.5),
        "stamp_error_p99_ms": quantile(errors, 0.99),
        "merged_percent": 100 * sum(event.merged for event, _ in tokens) / max(1, len(tokens)),
        "lag_p50_ms": quantile(lags_ns, 0.5) / _MS,
        "lag_p99_ms": quantile(lags_ns, 0.99) / _MS,
        "kernel_stamps": all(one.exchange.clock is Clock.KERNEL for one in answers),
    }


def of_floor(dump: Path, offset_ns: int) -> Iterator[Exchange]:
    """The exchanges that floor.c wrote, as our client would have recorded them."""
    body = b'{"stream": true}'
    request = Request(method="POST", url="http://127.0.0.1/v1/chat/completions", body=body)
    data, at = dump.read_bytes(), 0
    while at < len(data):
        sent_ns, count, size = struct.unpack_from("=3q", data, at)
        reads = list(struct.iter_unpack("=3q", data[at + 24 : at + 24 + 24 * count]))
        at += 24 + 24 * count
        pieces = []
        end = at + size
        for _, arrived, length in reads:
            pieces.append(Read(arrived + offset_ns, data[at : at + length]))
            at += length
        yield Exchange(
            id=str(end),
            request=request,
            started_ns=sent_ns,
            connected_ns=sent_ns,
            sent_ns=sent_ns,
            ended_ns=pieces[-1].at_ns,
            reads=tuple(pieces),
            end=End.KEPT,
            clock=Clock.KERNEL,
        )


if __name__ == "__main__":
    exchanges = of_floor(Path(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps(told([read(one) for one in exchanges], ())))  # noqa: T201
