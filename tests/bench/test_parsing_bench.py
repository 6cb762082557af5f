"""What it costs to make a row of a recorded answer, beside reading its JSON and nothing else.

The answers are those of `timed_server.py`: 64 tokens in 64 chunks of 211 bytes, and a last write
with finish reason, usage and the end marker. A row takes unpacking, HTTP, events, JSON, times and
writing it down, all in the process that judges (`harness.load.journal.parsing`); ``over_json`` in
the extra info is that by ``json.loads`` of every data line alone, in the same run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from timed_server import END, HEAD, TOKEN

from harness.load.journal import parsing
from harness.load.journal.batches import Batch
from harness.load.journal.rows import row_of
from harness.wire import Clock, End, Request
from harness.wire.engine import Lags
from harness.wire.engine.recorded import Recorded, Tape
from harness.wire.stamps import STAMP_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

TOKENS, ANSWERS, ROUNDS = 64, 100, 10
GAP_NS, REAL_NS, OFFSET_NS = 20_000_000, 2_000_010_000, -1_000_000_000

us: dict[str, float] = {}


def recorded() -> Recorded:
    """One answer, a token a read, stamped by the kernel."""
    end = END % (TOKENS, TOKENS + 8)
    pieces = [
        HEAD,
        *(TOKEN % (number * GAP_NS) for number in range(TOKENS)),
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(end), end),
    ]
    kept: list[bytes | int] = []
    for number, piece in enumerate(pieces):
        at_ns = REAL_NS + number * GAP_NS
        second = divmod(at_ns, 1_000_000_000)
        stamp = b"".join(each.to_bytes(STAMP_BYTES // 2, "little") for each in second)
        kept += piece, OFFSET_NS + at_ns + 90_000, stamp
    return Recorded(
        id="x",
        request=Request(method="POST", url="http://127.0.0.1/v1/chat/completions", body=b"{}"),
        labels={},
        scheduled_ns=None,
        submitted_ns=1_000_000_000,
        started_ns=1_000_001_000,
        connected_ns=1_000_002_000,
        sent_ns=1_000_003_000,
        ended_ns=1_000_010_000 + (TOKENS + 2) * GAP_NS,
        end=End.KEPT,
        tape=Tape(kept),
        offsets_ns=(OFFSET_NS, OFFSET_NS),
    )


def measure(benchmark: BenchmarkFixture, name: str, work: Callable[[], object]) -> None:
    benchmark.pedantic(work, rounds=ROUNDS, warmup_rounds=1)
    benchmark.extra_info["answers"] = ANSWERS
    if benchmark.stats is not None:  # None where benchmarks are switched off
        us[name] = benchmark.stats.stats.median / ANSWERS * 1e6
        benchmark.extra_info["us_an_answer"] = round(us[name])
    if {"row", "json"} <= us.keys():
        benchmark.extra_info["over_json"] = round(us["row"] / us["json"], 1)


@pytest.mark.benchmark(group=f"rows of {ANSWERS} answers of {TOKENS} chunks")
def test_rows(benchmark: BenchmarkFixture) -> None:
    one = recorded()
    frame = b"".join(parsing.pack(one, number=1, name="timed", load=1.0, labels={"step": "0"})[1:])
    assert row_of(one, number=1, name="timed", load=1.0).met.chunks == TOKENS
    assert one.exchange.clock is Clock.KERNEL

    def rows() -> None:
        batch, lags = Batch(), Lags()
        for _ in range(ANSWERS):
            batch.add(*parsing.judge(frame, lags))
        batch.dump()

    measure(benchmark, "row", rows)


@pytest.mark.benchmark(group=f"rows of {ANSWERS} answers of {TOKENS} chunks")
def test_json_alone(benchmark: BenchmarkFixture) -> None:
    pieces = b"".join(recorded().tape.pieces).split(b"\n")
    lines = [line[6:] for line in pieces if line.startswith(b"data: {")]
    assert len(lines) == TOKENS + 2

    def load() -> None:
        for _ in range(ANSWERS):
            for line in lines:
                json.loads(line)

    measure(benchmark, "json", load)
