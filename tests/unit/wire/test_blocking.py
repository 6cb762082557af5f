from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from harness.wire import Clock, End, Exchange, Request, WireError, parse
from harness.wire.blocking import exchange

if TYPE_CHECKING:
    from collections.abc import Callable

OK = b"HTTP/1.1 200 OK\r\n"


def get(url: str) -> Request:
    return Request(method="GET", url=url)


def ask(serve: Any, handler: Callable[[Any], Any], body: bytes = b"", **options: Any) -> Exchange:
    """Run one exchange against ``handler``, which runs in another thread."""

    async def main() -> Exchange:
        async with serve(handler) as url:
            request = Request(method="POST" if body else "GET", url=url, body=body)
            return await asyncio.to_thread(exchange, request, **options)

    return asyncio.run(main())


def test_a_whole_answer_is_recorded_with_the_readers_stamps(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.say(OK + b"Content-Length: 5\r\n\r\n", b"hello")

    recorded = ask(serve, handler, id="one", labels={"user": "7"})

    assert parse(recorded).body == b"hello"
    assert (recorded.end, recorded.clock) == (End.EOF, Clock.USER)
    assert (recorded.id, recorded.labels) == ("one", {"user": "7"})
    assert recorded.connected_ns is not None
    assert recorded.sent_ns is not None
    arrivals = [read.at_ns for read in recorded.reads]
    order = [recorded.started_ns, recorded.connected_ns, recorded.sent_ns, *arrivals]
    assert [*order, recorded.ended_ns] == sorted([*order, recorded.ended_ns])


def test_a_reset_in_mid_body_keeps_what_came_before(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.say(OK + b"Content-Length: 10\r\n\r\nhello")
        visitor.reset()

    recorded = ask(serve, handler)

    assert recorded.end is End.RESET
    assert parse(recorded).body == b"hello"


def test_a_refused_connection_is_an_ending(dead_url: str) -> None:
    recorded = exchange(get(dead_url))

    assert (recorded.end, recorded.connected_ns, recorded.reads) == (End.REFUSED, None, ())


def test_silence_ends_with_the_deadline(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.say(OK)
        await visitor.gone()

    recorded = ask(serve, handler, timeout_s=0.05)

    assert (recorded.end, len(recorded.reads)) == (End.TIMEOUT, 1)
    assert "17 bytes received" in recorded.detail


def test_an_answer_that_drips_on_does_not_move_the_deadline(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.drip()

    recorded = ask(serve, handler, timeout_s=0.1)

    assert recorded.end is End.TIMEOUT
    assert len(recorded.reads) > 1


def test_an_answer_given_before_the_request_was_taken_is_heard(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.head()
        await visitor.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        visitor.reset()

    recorded = ask(serve, handler, body=b"x" * 32_000_000)

    assert parse(recorded).status == 413
    assert (recorded.end, recorded.sent_ns) == (End.RESET, None)


def test_a_request_that_cannot_be_sent_is_refused_before_anything_happens() -> None:
    with pytest.raises(WireError, match="write http://"):
        exchange(get("ftp://127.0.0.1/"))


def test_under_gevent_one_waiting_exchange_lets_the_others_run() -> None:
    """The server answers nobody until both are connected; a blocked hub would time out."""
    pytest.importorskip("gevent")
    program = """
        from gevent import monkey
        monkey.patch_all()

        import gevent
        from gevent.server import StreamServer
        from harness.wire import Request
        from harness.wire.blocking import exchange

        visitors = []

        def visit(sock, address):
            visitors.append(sock.recv(65536))
            while len(visitors) < 2:
                gevent.sleep(0)
            sock.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")

        server = StreamServer(("127.0.0.1", 0), visit)
        server.start()
        request = Request(method="GET", url=f"http://127.0.0.1:{server.server_port}/")
        users = [gevent.spawn(exchange, request, timeout_s=20) for _ in range(2)]
        gevent.joinall(users, raise_error=True)
        print(*(user.value.end for user in users))
        server.stop()
    """
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.stdout.split() == ["eof", "eof"], finished.stderr


def test_under_gevent_silence_ends_with_the_deadline() -> None:
    pytest.importorskip("gevent")
    program = """
        from gevent import monkey
        monkey.patch_all()

        import socket
        from harness.wire import Request
        from harness.wire.blocking import exchange

        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            print(exchange(Request(method="GET", url=url), timeout_s=0.05).end)
    """
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.stdout.split() == ["timeout"], finished.stderr
