"""One request to the llama-server, its answer as it arrives. A connection for each.

llama-server closes idle connections without notice, and a closed connection is how it is told
that an answer is no longer wanted; a pool would gain little and break both.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h11

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

_READ = 64 * 1024
_DATA = b"data:"
_DONE = b"[DONE]"


class UpstreamError(Exception):
    """The server behind did not answer, or refused; ``status`` is what to tell the client."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """The head of an answer, and its body in the pieces it comes in."""

    status: int
    content_type: str
    pieces: AsyncIterator[bytes]

    async def body(self) -> bytes:
        """All of the body."""
        return b"".join([piece async for piece in self.pieces])


@dataclass(frozen=True, slots=True)
class Upstream:
    """The llama-server at ``host:port``; ``api_key`` is the bearer it expects, if any."""

    host: str
    port: int
    api_key: str | None = None

    @asynccontextmanager
    async def ask(
        self, method: str, path: str, body: bytes | None = None
    ) -> AsyncIterator[UpstreamAnswer]:
        """Send a request; the connection is closed on leaving, read to its end or not.

        Raises:
            UpstreamError: 502, it does not accept, or breaks off before or inside its answer.
        """
        try:
            reader, writer = await asyncio.open_connection(self.host, self.port)
        except OSError as error:
            raise UpstreamError(502, f"llama-server does not answer: {error}") from error
        try:
            http = h11.Connection(h11.CLIENT)
            request = h11.Request(method=method, target=path, headers=self._headers(body))
            writer.write(http.send(request) or b"")
            if body:
                writer.write(http.send(h11.Data(body)) or b"")
            writer.write(http.send(h11.EndOfMessage()) or b"")
            events = _events(http, reader)
            head = await anext(events)
            if not isinstance(head, h11.Response):
                raise UpstreamError(502, f"llama-server answered no HTTP: {head!r}")
            kind = dict(head.headers).get(b"content-type", b"").decode("latin-1")
            yield UpstreamAnswer(head.status_code, kind, _pieces(events))
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def get(self, path: str) -> Any:
        """JSON of a path. Raises `UpstreamError`, also for any status but 200."""
        async with self.ask("GET", path) as answer:
            return _json(answer.status, await answer.body())

    async def post(self, path: str, body: Any) -> Any:
        """JSON of what a path answers to ``body``. Raises as `get`."""
        async with self.ask("POST", path, json.dumps(body).encode()) as answer:
            return _json(answer.status, await answer.body())

    async def stream(self, path: str, body: Any) -> AsyncGenerator[Any, None]:
        """The events of a streamed answer, up to ``[DONE]``.

        Raises:
            UpstreamError: refused, broken off, or an error amid the stream.
        """
        async with self.ask("POST", path, json.dumps(body).encode()) as answer:
            if answer.status != 200:
                raise UpstreamError(answer.status, reason(await answer.body()))
            rest = b""
            async for piece in answer.pieces:
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    data = line.removeprefix(_DATA).strip()
                    if not line.startswith(_DATA):
                        continue
                    if data == _DONE:
                        return
                    event = json.loads(data)
                    if "error" in event:
                        raise UpstreamError(500, reason(data))
                    yield event
            raise UpstreamError(500, "llama-server broke off amid its answer")

    def _headers(self, body: bytes | None) -> list[tuple[str, str]]:
        headers = [("host", f"{self.host}:{self.port}"), ("connection", "close")]
        if body is not None:
            headers += [("content-type", "application/json"), ("content-length", str(len(body)))]
        if self.api_key:
            headers.append(("authorization", f"Bearer {self.api_key}"))
        return headers


def reason(body: bytes) -> str:
    """The message of an OpenAI error, or the body as it is."""
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["error"]["message"])
    return body.decode("utf-8", "replace")


def _json(status: int, body: bytes) -> Any:
    if status != 200:
        raise UpstreamError(status, reason(body))
    return json.loads(body)


async def _events(http: h11.Connection, reader: asyncio.StreamReader) -> AsyncIterator[Any]:
    while True:
        try:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(_READ))
                continue
        except (h11.RemoteProtocolError, OSError) as error:
            raise UpstreamError(502, f"llama-server broke off: {error}") from error
        if not isinstance(event, h11.InformationalResponse):
            yield event


async def _pieces(events: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for event in events:
        if isinstance(event, h11.EndOfMessage):
            return
        yield bytes(event.data)
