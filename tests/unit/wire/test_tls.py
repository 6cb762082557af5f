from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trustme

from harness.wire import Clock, End, Exchange, RecordingClient, Request, parse
from harness.wire.blocking import exchange as blocking
from harness.wire.tls import CUT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
EVENTS = [f"data: {number}\n\n".encode() for number in range(5)]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@asynccontextmanager
async def served(
    authority: trustme.CA, handler: Handler, *, name: str = "127.0.0.1"
) -> AsyncIterator[str]:
    """The URL of a TLS server on loopback whose certificate is for ``name``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(visit, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def stream(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for part in (HEAD, *EVENTS):
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.01)


async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End the TCP connection in order, but say nothing on the TLS one."""
    writer.write(HEAD + EVENTS[0])
    await writer.drain()
    sock = writer.get_extra_info("socket")
    sock._sock.shutdown(1)


def record(
    authority: trustme.CA, handler: Handler, trust: ssl.SSLContext | None, name: str = "127.0.0.1"
) -> Exchange:
    async def main() -> Exchange:
        async with (
            served(authority, handler, name=name) as url,
            RecordingClient(trust=trust, timeout_s=20) as client,
        ):
            return await client.send(Request(method="GET", url=url))

    return asyncio.run(main())


def test_a_stream_under_tls_is_recorded_as_plaintext_event_by_event(
    authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    recorded = record(authority, stream, trust)
    response = parse(recorded)
    assert (recorded.end, recorded.detail) == (End.EOF, "")
    assert response.body == b"".join(EVENTS)
    assert [piece.data for piece in response.pieces] == EVENTS
    stamps = [read.at_ns for read in recorded.reads]
    assert stamps == sorted(set(stamps))
    assert recorded.connected_ns is not None
    assert recorded.sent_ns is not None
    assert recorded.connected_ns < recorded.sent_ns < stamps[0]


def test_the_stamps_are_still_the_kernels(authority: trustme.CA, trust: ssl.SSLContext) -> None:
    async def plain() -> Exchange:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD)
            writer.close()

        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, RecordingClient() as client:
            return await client.send(Request(method="GET", url=f"http://127.0.0.1:{port}/"))

    if asyncio.run(plain()).clock is not Clock.KERNEL:
        pytest.skip("this kernel stamps no arrivals")
    assert record(authority, stream, trust).clock is Clock.KERNEL


def test_an_end_without_close_notify_is_no_orderly_end(
    authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    recorded = record(authority, cut, trust)
    assert (recorded.end, recorded.detail) == (End.RESET, CUT)
    assert parse(recorded).body == EVENTS[0], "what arrived is kept"
    assert not parse(recorded).complete


@pytest.mark.parametrize(("name", "known"), [("127.0.0.1", False), ("other.example", True)])
def test_a_certificate_of_a_stranger_or_for_another_name_is_refused(
    authority: trustme.CA, trust: ssl.SSLContext, name: str, known: bool
) -> None:
    recorded = record(authority, stream, trust if known else None, name)
    assert recorded.end is End.UNREACHABLE
    assert "certificate verify failed" in recorded.detail
    assert recorded.reads == ()
    assert recorded.sent_ns is None, "the request, and the key in it, was not sent"


def test_the_blocking_client_speaks_tls_too(authority: trustme.CA, trust: ssl.SSLContext) -> None:
    async def main(handler: Handler, trusted: ssl.SSLContext | None) -> Exchange:
        async with served(authority, handler) as url:
            request = Request(method="GET", url=url)
            return await asyncio.to_thread(blocking, request, timeout_s=20, trust=trusted)

    whole = asyncio.run(main(stream, trust))
    assert (whole.end, parse(whole).body) == (End.EOF, b"".join(EVENTS))
    assert asyncio.run(main(cut, trust)).end is End.RESET
    assert asyncio.run(main(stream, None)).end is End.UNREACHABLE
