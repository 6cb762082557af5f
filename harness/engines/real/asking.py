"""One short question to a server on this machine: HTTP/1.0, because its end is the answer's end.

For readiness and versions only. Traffic that is judged goes through the recording client.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

_LIMIT_S = 5.0
_MOST_BYTES = 8 * 1024 * 1024


class NoAnswer(OSError):  # noqa: N818 - the noun says what happened
    """The server took the connection and gave no usable answer: not ready yet, or broken."""


async def get(host: str, port: int, path: str, *, key: str | None = None) -> tuple[int, bytes]:
    """Status and body of ``GET path``.

    Raises:
        OSError: refused, reset, silent for 5 s, or not HTTP (`NoAnswer`).
    """
    lines = [f"GET {path} HTTP/1.0", f"Host: {host}:{port}", "Accept: */*"]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    answer = await exchange(host, port, "\r\n".join([*lines, "", ""]).encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise NoAnswer(f"no HTTP status line in {answer[:60]!r}")
    if b"transfer-encoding: chunked" in head.lower():
        body = _unchunked(body)
    return int(words[1]), body


async def get_json(host: str, port: int, path: str, *, key: str | None = None) -> Any:
    """The JSON a path answers with 200. Raises OSError as `get`, also for another status."""
    status, body = await get(host, port, path, key=key)
    if status != 200:
        raise NoAnswer(f"GET {path} answered {status}")
    try:
        return json.loads(body)
    except ValueError as error:
        raise NoAnswer(f"GET {path} answered no JSON: {body[:60]!r}") from error


async def exchange(host: str, port: int, message: bytes, *, until: bytes | None = None) -> bytes:
    """Send ``message`` and read until ``until`` was seen or the server closes.

    Raises OSError: refused, reset, or silent for 5 s.
    """
    reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), _LIMIT_S)
    try:
        writer.write(message)
        got = b""
        while until is None or until not in got:
            part = await asyncio.wait_for(reader.read(65536), _LIMIT_S)
            got += part
            if not part or len(got) > _MOST_BYTES:
                break
        return got
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _unchunked(body: bytes) -> bytes:
    """The content of a chunked body (RFC 9112, 7.1): some servers chunk whoever asks."""
    content = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        if length == 0:
            break
        content, body = content + rest[:length], rest[length + 2 :]
    return content
