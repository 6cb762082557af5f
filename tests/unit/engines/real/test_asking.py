from __future__ import annotations

import asyncio

import pytest

from harness.engines.real import asking


async def served(answer: bytes, path: str = "/") -> tuple[tuple[int, bytes], bytes]:
    """What ``get`` makes of ``answer``, and what it had asked."""
    heard = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard = await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        return await asking.get("127.0.0.1", port, path, key="sk-x"), heard


def test_status_and_body_are_read_and_the_key_is_sent() -> None:
    found, heard = asyncio.run(served(b"HTTP/1.1 503 Busy\r\nX: y\r\n\r\nloading", "/health"))
    assert found == (503, b"loading")
    assert heard.startswith(b"GET /health HTTP/1.1\r\n")
    assert b"authorization: Bearer sk-x\r\n" in heard


def test_a_chunked_body_is_joined() -> None:
    body = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    )
    assert asyncio.run(served(body))[0] == (200, b"abcde")


@pytest.mark.parametrize("answer", [b"", b"+PONG\r\n", b"HTTP/1.1 fine\r\n\r\n"])
def test_what_is_not_http_is_not_an_answer_yet(answer: bytes) -> None:
    with pytest.raises(asking.NoAnswer, match="GET /: "):
        asyncio.run(served(answer))


def test_a_body_that_is_cut_short_is_not_an_answer_yet() -> None:
    with pytest.raises(asking.NoAnswer, match="2 of 9 bytes"):
        asyncio.run(served(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 404 No\r\n\r\n{}", "answered 404"),
        (b"HTTP/1.1 200 OK\r\n\r\n<p>", "answered no JSON"),
    ],
)
def test_json_that_is_not_there_is_an_error(answer: bytes, why: str) -> None:
    async def story() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            await asking.get_json("127.0.0.1", server.sockets[0].getsockname()[1], "/version")

    with pytest.raises(OSError, match=why):
        asyncio.run(story())
