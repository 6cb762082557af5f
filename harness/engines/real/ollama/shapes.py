"""Small shapes that every path shares: bodies in and out, times, and a reply being given."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from harness.engines.real.ollama.residency import Refusal

if TYPE_CHECKING:
    from harness.engines.real.ollama.translate import Json

JSON, NDJSON, TEXT = (
    "application/json; charset=utf-8",
    "application/x-ndjson",
    "text/plain; charset=utf-8",
)


class Reply:
    """An answer being given: a head, then any number of pieces, or one whole body."""

    async def whole(self, status: int, kind: str, body: bytes) -> None:
        """All at once."""
        raise NotImplementedError

    async def begin(self, status: int, kind: str) -> None:
        """The head of an answer of unknown length."""
        raise NotImplementedError

    async def piece(self, data: bytes) -> None:
        """More of it, at once on the wire."""
        raise NotImplementedError

    async def json(self, value: Any, status: int = 200) -> None:
        """A whole answer in JSON."""
        await self.whole(status, JSON, compact(value))


def stamp(at: float) -> str:
    """RFC 3339 with a fraction, as Go writes a time in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f"{at % 1:.9f}"[1:] + "Z"


def read_object(body: bytes) -> Json:
    """The body of a request. Raises `Refusal`."""
    if not body:
        raise Refusal(400, "missing request body")
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Refusal(400, f"invalid JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refusal(400, "the body must be a JSON object")
    return value


def compact(value: Any) -> bytes:
    """JSON as Go writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def line(value: Json) -> bytes:
    """One line of NDJSON."""
    return compact(value) + b"\n"
