from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from harness import answer as answers
from harness.answer import Answer
from harness.wire.exchange import End, Exchange, Read, Request

Reply = Callable[..., Answer]


@pytest.fixture(scope="session")
def reply() -> Reply:
    """Build the answer to one request from its body; ``cuts`` says where reads end."""
    return _reply


def _reply(
    body: bytes | str | dict[str, Any] = b"",
    *,
    status: int = 200,
    media: str = "application/json",
    path: str = "/v1/chat/completions",
    asked: Any = None,
    length: int | None = None,
    cuts: tuple[int, ...] = (),
    end: End = End.EOF,
) -> Answer:
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else _dump(body))
    data = raw.encode() if isinstance(raw, str) else raw
    framing = f"content-length: {length}\r\n" if length is not None else ""
    head = f"HTTP/1.1 {status} -\r\ncontent-type: {media}\r\n{framing}\r\n".encode()
    return answers.read(
        Exchange(
            id="x",
            request=Request(
                method="POST", url=f"http://127.0.0.1:1{path}", body=_dump(asked or {}).encode()
            ),
            started_ns=0,
            connected_ns=1,
            sent_ns=2,
            ended_ns=10_000,
            reads=_reads(head + data, cuts),
            end=end,
        )
    )


def _reads(raw: bytes, cuts: tuple[int, ...]) -> tuple[Read, ...]:
    edges = [0, *sorted({min(c, len(raw)) for c in cuts}), len(raw)]
    pieces = [raw[a:b] for a, b in pairwise(edges)]
    return tuple(Read(100 * n, piece) for n, piece in enumerate(pieces, start=1) if piece)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
