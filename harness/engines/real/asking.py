"""One short question to a server on this machine: for readiness and versions, never judged."""

from __future__ import annotations

import json
from typing import Any

from harness.wire import RecordingClient, Request, parse

_LIMIT_S = 5.0


class NoAnswer(OSError):  # noqa: N818 - the noun says what happened
    """Nobody took the connection, or there was no usable answer: not ready yet, or broken."""


async def get(host: str, port: int, path: str, *, key: str | None = None) -> tuple[int, bytes]:
    """Status and body of ``GET path``.

    Raises:
        NoAnswer: refused, reset, silent for 5 s, cut short, or not HTTP.
    """
    at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = (("authorization", f"Bearer {key}"),) if key is not None else ()
    request = Request(method="GET", url=f"http://{at}{path}", headers=headers)
    async with RecordingClient(timeout_s=_LIMIT_S) as client:
        exchange = await client.send(request)
    answer = parse(exchange)
    if answer.status is None or not answer.complete:
        raise NoAnswer(f"GET {path}: {answer.fault}")
    return answer.status, answer.body


async def get_json(host: str, port: int, path: str, *, key: str | None = None) -> Any:
    """The JSON a path answers with 200. Raises `NoAnswer` as `get`, also for another status."""
    status, body = await get(host, port, path, key=key)
    if status != 200:
        raise NoAnswer(f"GET {path} answered {status}")
    try:
        return json.loads(body)
    except ValueError as error:
        raise NoAnswer(f"GET {path} answered no JSON: {body[:60]!r}") from error
