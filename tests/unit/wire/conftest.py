"""A loopback server whose every answer is written out in the test that uses it."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress

import pytest

Handler = Callable[["Visitor"], Awaitable[None]]
Serve = Callable[[Handler], AbstractAsyncContextManager[str]]


class Visitor:
    """One connection, as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def head(self) -> bytes:
        """Read the head of the request and leave the body where it is."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def request(self) -> bytes:
        """Read the whole request, head and body."""
        head = await self.head()
        length = re.search(rb"(?i)^content-length: (\d+)", head, re.MULTILINE)
        return head + await self._reader.readexactly(int(length[1]) if length else 0)

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self._writer.write(part)
            await self._writer.drain()

    async def drip(self) -> None:
        """Send a byte now and then until the client has closed its side."""
        gone = asyncio.create_task(self.gone())
        with suppress(ConnectionError):
            while not gone.done():
                await self.say(b"x")
                await asyncio.wait([gone], timeout=0.01)
        await gone

    async def gone(self) -> None:
        """Wait until the client has closed its side, or broken off."""
        with suppress(ConnectionError):
            await self._reader.read()

    def reset(self) -> None:
        """Abort the connection with RST."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


@asynccontextmanager
async def _serve(handler: Handler) -> AsyncIterator[str]:
    visits: list[asyncio.Task[None]] = []

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        visits.append(task)
        try:
            await handler(Visitor(reader, writer))
        finally:
            writer.close()

    server = await asyncio.start_server(visit, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
    await asyncio.gather(*visits)


@pytest.fixture
def serve() -> Serve:
    """``async with serve(handler) as url``; leaves only when every visit has ended."""
    return _serve


@pytest.fixture
def dead_url() -> str:
    """A loopback URL where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture
def full_url() -> Iterator[str]:
    """A loopback URL whose listener accepts nobody: its queue is full."""
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            sock = waiting.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
