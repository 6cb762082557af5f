"""The listener of the facade: connections, requests one after another, and clients that go away."""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

from harness.engines.emulator import http
from harness.engines.real.ollama.shapes import Reply

if TYPE_CHECKING:
    from harness.engines.emulator.http import Request
    from harness.engines.real.ollama.native import Native

_READ = 64 * 1024


async def serve(native: Native, host: str, port: int) -> asyncio.Server:
    """Listen; return the server. Raises OSError if the port is taken."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _Connection(native, reader, writer).run()
        except (OSError, asyncio.CancelledError):
            pass  # the client is gone, or we are ending
        finally:
            writer.close()

    return await asyncio.start_server(connected, host, port, backlog=1024)


class _Connection:
    def __init__(
        self, native: Native, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._native, self._reader, self._writer = native, reader, writer
        self._requests = http.RequestReader()

    async def run(self) -> None:
        """Answer until either side has enough."""
        while True:
            try:
                request = await self._next()
            except http.BadRequestError as error:
                reply = _Reply(self._writer, chunks=False)
                await reply.whole(error.status, "text/plain", str(error).encode())
                return
            if request is None or not await self._answered(request):
                return

    async def _next(self) -> Request | None:
        """The next request, or None at the end. Raises `http.BadRequestError`."""
        while True:
            if (request := self._requests.next()) is not None:
                return request
            if self._requests.wants_continue:
                self._writer.write(http.CONTINUE)
                self._requests.continued()
            data = await self._reader.read(_READ)
            if not data:
                return None
            self._requests.feed(data)

    async def _answered(self, request: Request) -> bool:
        """Answer one request; give up at once if the client goes. Whether more may come."""
        reply = _Reply(self._writer, chunks=request.chunks)
        answer = asyncio.ensure_future(self._answer(request, reply))
        try:
            while not answer.done():
                more = asyncio.ensure_future(self._reader.read(_READ))
                await asyncio.wait({answer, more}, return_when=asyncio.FIRST_COMPLETED)
                if not more.done():
                    more.cancel()
                    with suppress(asyncio.CancelledError):
                        await more
                elif data := more.result():
                    self._requests.feed(data)
                else:
                    return False
            return answer.result() and request.keep_alive
        finally:
            answer.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await answer

    async def _answer(self, request: Request, reply: _Reply) -> bool:
        try:
            await self._native.answer(request, reply)
            await reply.end()
        except OSError:
            return False
        except Exception:  # noqa: BLE001 - a mistake of ours must not end the process
            sys.stderr.write(traceback.format_exc())
            return False
        return True


class _Reply(Reply):
    """Chunked where the length is unknown, or up to the end of an HTTP/1.0 connection."""

    def __init__(self, writer: asyncio.StreamWriter, *, chunks: bool) -> None:
        self._writer, self._chunks, self._open = writer, chunks, False

    async def whole(self, status: int, kind: str, body: bytes) -> None:
        length = ("content-length", str(len(body)))
        self._writer.write(http.head(status, [*self._headers(kind), length]) + body)
        await self._writer.drain()

    async def begin(self, status: int, kind: str) -> None:
        headers = self._headers(kind)
        if self._chunks:
            headers.append(("transfer-encoding", "chunked"))
        self._writer.write(http.head(status, headers))
        self._open = True

    async def piece(self, data: bytes) -> None:
        if data:
            self._writer.write(http.chunk(data) if self._chunks else data)
            await self._writer.drain()

    async def end(self) -> None:
        """The end of an answer that was begun."""
        if self._open and self._chunks:
            self._writer.write(http.LAST_CHUNK)
        await self._writer.drain()

    def _headers(self, kind: str) -> list[tuple[str, str]]:
        return [("content-type", kind), ("date", http.date(time.time()))]
