"""Throughput of streams whose chunks hold one token or several."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from harness.load.capacity.racing import throughput
from harness.wire import End, Exchange, Read, Request

if TYPE_CHECKING:
    from harness.load.driving import Drive

MS = 1_000_000


@dataclass
class One:
    exchange: Exchange


@dataclass
class Streams:
    recorded: list[One]


def event(text: str | None = None, **more: object) -> bytes:
    choices = [] if text is None else [{"index": 0, "text": text, "finish_reason": None}]
    return b"data: " + json.dumps({"choices": choices, **more}).encode() + b"\n\n"


def stream(*, every_ms: int, chunks: int, tokens: int | None) -> One:
    """A completion whose chunks come that far apart; ``tokens`` are what its usage says."""
    end = [{"index": 0, "text": "", "finish_reason": "length"}]
    said = event() if tokens is None else event(usage={"completion_tokens": tokens})
    last = event(choices=end) + said + b"data: [DONE]\n\n"
    at = [100 + every_ms * number for number in range(chunks)]
    reads = [
        Read(1 * MS, b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"),
        *(Read(moment * MS, event("a")) for moment in at),
        Read((at[-1] + 1) * MS, last),
    ]
    request = Request(method="POST", url="http://e.test/v1/completions", body=b'{"stream": true}')
    exchange = Exchange(
        id="x",
        request=request,
        started_ns=0,
        connected_ns=0,
        sent_ns=0,
        ended_ns=9000 * MS,
        reads=tuple(reads),
        end=End.EOF,
    )
    return One(exchange)


def of(*streams: One) -> float:
    return throughput(cast("Drive", Streams(list(streams))))


def test_a_token_a_chunk_is_counted_by_chunks() -> None:
    assert of(stream(every_ms=20, chunks=11, tokens=None)) == pytest.approx(50)


def test_a_busy_server_that_merges_tokens_into_chunks_is_as_fast_as_it_is() -> None:
    """50 tokens a second from each of four streams, in chunks of one token or of four."""
    one = of(*[stream(every_ms=20, chunks=41, tokens=41)] * 4)
    four = of(*[stream(every_ms=80, chunks=11, tokens=44)] * 4)
    assert one == four == pytest.approx(200)
