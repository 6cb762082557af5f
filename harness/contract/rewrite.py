"""Edit a recorded answer and frame it anew: the hands of the mutants."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from harness.wire import http1
from harness.wire.exchange import Exchange, Header, Read

_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})

EditHeaders = Callable[[list[Header]], list[Header]]
EditBody = Callable[[bytes], bytes]
EditEvents = Callable[[list[bytes]], list[bytes]]
EditJson = Callable[[Any], Any]


def body(
    exchange: Exchange, edit: EditBody, *, status: int | None = None, media: str | None = None
) -> Exchange:
    """Return ``exchange`` with its body edited, sent as one piece with Content-Length.

    ``status`` and ``media`` replace the status and the Content-Type.
    """
    answer = http1.parse(exchange)
    data = edit(answer.body)
    headers = _kept(answer.headers, media)
    head = _head(status or answer.status or 200, [*headers, ("Content-Length", str(len(data)))])
    at = exchange.reads[-1].at_ns if exchange.reads else exchange.ended_ns
    return replace(exchange, reads=(Read(at, head + data),))


def document(
    exchange: Exchange, edit: EditJson, *, status: int | None = None, media: str | None = None
) -> Exchange:
    """Return ``exchange`` with its JSON body edited; see `body`."""
    return body(exchange, lambda data: _dump(edit(json.loads(data))), status=status, media=media)


def events(exchange: Exchange, edit: EditEvents, *, media: str | None = None) -> Exchange:
    """Return a stream with its SSE events edited, each sent as a chunk of its own.

    An event is its bytes up to and including the blank line. The stamps are those of
    the first stream, spread evenly, so that an edit does not change the pace.
    """
    answer = http1.parse(exchange)
    written = edit([part + b"\n\n" for part in answer.body.split(b"\n\n") if part])
    headers = [*_kept(answer.headers, media), ("Transfer-Encoding", "chunked")]
    first, last = exchange.reads[0].at_ns, exchange.reads[-1].at_ns
    step = (last - first) // max(1, len(written))
    reads = [Read(first, _head(answer.status or 200, headers))]
    reads += [Read(first + step * n, _chunk(data)) for n, data in enumerate(written, start=1)]
    return replace(exchange, reads=(*reads, Read(last, b"0\r\n\r\n")))


def chunks(exchange: Exchange, edit: Callable[[list[Any]], list[Any]]) -> Exchange:
    """Return a stream with its JSON chunks edited; every other event stays behind them."""

    def apply(written: list[bytes]) -> list[bytes]:
        objects = [json.loads(e[5:]) for e in written if e.startswith(b"data: {")]
        rest = [e for e in written if not e.startswith(b"data: {")]
        return [event(chunk) for chunk in edit(objects)] + rest

    return events(exchange, apply)


def at_once(exchange: Exchange) -> Exchange:
    """Return ``exchange`` as it looks when everything arrives in its last read."""
    data = b"".join(read.data for read in exchange.reads)
    return replace(exchange, reads=(Read(exchange.reads[-1].at_ns, data),))


def cut_short(exchange: Exchange) -> Exchange:
    """Return ``exchange`` as it looks when the peer closes before the last byte."""
    *before, last = exchange.reads
    return replace(exchange, reads=(*before, Read(last.at_ns, last.data[:-1])))


def event(chunk: Any) -> bytes:
    """Frame a JSON value as one SSE event."""
    return b"data: " + _dump(chunk) + b"\n\n"


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _kept(headers: Sequence[Header], media: str | None) -> list[Header]:
    dropped = _FRAMING if media is None else _FRAMING | {"content-type"}
    kept = [(name, value) for name, value in headers if name.lower() not in dropped]
    return kept if media is None else [*kept, ("Content-Type", media)]


def _head(status: int, headers: Sequence[Header]) -> bytes:
    lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
