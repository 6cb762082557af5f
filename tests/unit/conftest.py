from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

import pytest

from harness import answer as answers
from harness.wire import End, Exchange, Read, Request

if TYPE_CHECKING:
    from harness.answer import Answer

Recorded = Callable[..., Exchange]
_NUMBERS = count(1)


@pytest.fixture
def recorded() -> Recorded:
    """Make an exchange from a status, headers and a body."""

    def build(
        status: int = 200,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        path: str = "/v1/chat/completions",
    ) -> Exchange:
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        return Exchange(
            id=f"x{next(_NUMBERS)}",
            request=Request(method="POST", url=f"http://gateway.test{path}"),
            started_ns=0,
            connected_ns=1,
            sent_ns=2,
            ended_ns=10,
            reads=(Read(5, head.encode() + b"\r\n" + body),),
            end=End.EOF,
        )

    return build


@pytest.fixture
def said(recorded: Recorded) -> Callable[[str], Answer]:
    """Make a whole plain answer with this content."""

    def build(content: str) -> Answer:
        body = {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        return answers.read(
            recorded(200, json.dumps(body).encode(), {"content-type": "application/json"})
        )

    return build


@pytest.fixture
def failed(recorded: Recorded) -> Callable[[int], Answer]:
    """Make an explicit error with this status."""

    def build(status: int) -> Answer:
        body = {"error": {"message": "no", "type": "x", "param": None, "code": None}}
        return answers.read(
            recorded(status, json.dumps(body).encode(), {"content-type": "application/json"})
        )

    return build
