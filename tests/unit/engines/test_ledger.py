from __future__ import annotations

import json
from typing import Any

from harness.engines import ledger
from harness.engines.ledger import LedgerEntry

FACTS: dict[str, Any] = {
    "number": 1,
    "connection": 2,
    "peer_port": 3,
    "method": "POST",
    "target": "/",
    "request_id": None,
    "model": "m",
    "stream": True,
    "received_ns": 10,
    "ended_ns": 99,
    "status": 200,
    "ending": "client",
    "faults": ["hang"],
}


def through_the_pipe(at_ns: list[int], chunks: list[bytes]) -> LedgerEntry:
    return LedgerEntry.from_wire(json.loads(json.dumps({**FACTS, **ledger.pack(at_ns, chunks)})))


def test_every_write_comes_out_as_it_went_in() -> None:
    entry = through_the_pipe([100, 250, 250], [b"a\xff\x00", b"\r\n", b"c" * 1000])
    assert entry.writes == ((100, b"a\xff\x00"), (250, b"\r\n"), (250, b"c" * 1000))
    assert entry.sent == b"a\xff\x00\r\n" + b"c" * 1000
    assert entry.aborted
    assert entry.faults == ("hang",)


def test_an_answer_of_nothing() -> None:
    assert through_the_pipe([], []).writes == ()


def test_a_stream_is_packed_well() -> None:
    chunks = [b'data: {"id":"chatcmpl-1","choices":[{"delta":{"content":" x"}}]}\n\n'] * 500
    packed = json.dumps(ledger.pack([n * 20_000_000 for n in range(500)], chunks))
    assert len(packed) < len(b"".join(chunks)) / 2
