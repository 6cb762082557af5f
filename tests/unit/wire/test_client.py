from __future__ import annotations

import asyncio
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.wire import Clock, End, Exchange, RecordingClient, Request, WireError, parse, stamps

if TYPE_CHECKING:
    from collections.abc import Callable

OK = b"HTTP/1.1 200 OK\r\n"
DESCRIPTORS = Path("/proc/self/fd")


def get(url: str) -> Request:
    return Request(method="GET", url=url)


def ask(serve: Any, handler: Callable[[Any], Any], **options: Any) -> Exchange:
    """Run one exchange against ``handler`` and return it."""

    async def main() -> Exchange:
        async with serve(handler) as url, RecordingClient() as client:
            return await client.send(get(url), **options)

    return asyncio.run(main())


def test_an_answer_with_a_content_length_is_recorded_whole(serve: Any) -> None:
    answer = OK + b"Content-Length: 5\r\n\r\nhello"

    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.say(answer)

    exchange = ask(serve, handler)

    assert b"".join(read.data for read in exchange.reads) == answer
    assert (exchange.end, exchange.detail) == (End.EOF, "")
    assert parse(exchange).complete


def test_a_chunked_answer_is_recorded_as_it_was_framed(serve: Any) -> None:
    answer = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.say(answer)

    exchange = ask(serve, handler)

    assert b"".join(read.data for read in exchange.reads) == answer
    assert parse(exchange).body == b"hello"


def test_an_answer_ended_by_closing_is_whole(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.say(OK + b"\r\nhello")

    response = parse(ask(serve, handler))

    assert (response.body, response.complete) == (b"hello", True)


def test_the_stamps_of_an_exchange_stand_in_order(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.say(OK + b"\r\n", b"hello")

    exchange = ask(serve, handler)

    assert exchange.connected_ns is not None
    assert exchange.sent_ns is not None
    assert exchange.started_ns <= exchange.connected_ns <= exchange.sent_ns <= exchange.ended_ns
    arrivals = [read.at_ns for read in exchange.reads]
    assert arrivals == sorted(arrivals)
    assert exchange.connected_ns <= arrivals[0]
    assert arrivals[-1] <= exchange.ended_ns


def test_exactly_the_serialised_request_goes_out(serve: Any) -> None:
    heard: list[bytes] = []

    async def handler(visitor: Any) -> None:
        heard.append(await visitor.request())
        await visitor.say(OK + b"\r\n")

    async def main() -> bytes:
        async with serve(handler) as url, RecordingClient() as client:
            request = Request(
                method="POST", url=url + "/v1?a=b", headers=(("X-One", "1"),), body=b"{}"
            )
            await client.send(request)
            return url.removeprefix("http://").encode()

    authority = asyncio.run(main())

    assert heard == [
        b"POST /v1?a=b HTTP/1.1\r\nHost: "
        + authority
        + b"\r\nX-One: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    ]


def test_a_reset_in_mid_body_keeps_what_came_before(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.say(OK + b"Content-Length: 10\r\n\r\nhello")
        visitor.reset()

    exchange = ask(serve, handler)

    assert exchange.end is End.RESET
    assert "reset by peer" in exchange.detail
    assert parse(exchange).body == b"hello"


def test_a_refused_connection_is_an_ending(dead_url: str) -> None:
    async def main() -> Exchange:
        async with RecordingClient() as client:
            return await client.send(get(dead_url))

    exchange = asyncio.run(main())

    assert exchange.end is End.REFUSED
    assert dead_url.removeprefix("http://") in exchange.detail
    assert (exchange.connected_ns, exchange.sent_ns, exchange.reads) == (None, None, ())
    assert exchange.clock is Clock.USER


def test_an_address_that_cannot_be_reached_is_an_ending() -> None:
    async def main() -> Exchange:
        async with RecordingClient() as client:
            return await client.send(get("http://255.255.255.255:9/"))

    assert asyncio.run(main()).end is End.UNREACHABLE


def test_silence_ends_with_the_deadline(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.gone()

    exchange = ask(serve, handler, timeout_s=0.05)

    assert exchange.end is End.TIMEOUT
    assert exchange.detail == "no end of the answer within 0.05 s; 0 bytes received"
    assert exchange.ended_ns - exchange.started_ns >= 50_000_000


def test_an_answer_that_drips_on_does_not_move_the_deadline(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.drip()

    exchange = ask(serve, handler, timeout_s=0.1)

    assert exchange.end is End.TIMEOUT
    assert len(exchange.reads) > 1


def test_the_deadline_keeps_what_came_before(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.say(OK + b"Content-Length: 5\r\n\r\nhello")
        await visitor.gone()

    exchange = ask(serve, handler, timeout_s=0.05)

    assert exchange.end is End.TIMEOUT
    assert parse(exchange).complete, "a server that ignores `close` still answered whole"


def test_a_deadline_may_be_set_for_the_whole_client(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.gone()

    async def main() -> Exchange:
        async with serve(handler) as url, RecordingClient(timeout_s=0.05) as client:
            return await client.send(get(url))

    assert asyncio.run(main()).end is End.TIMEOUT


def test_a_close_before_the_status_line_is_an_orderly_end_without_reads(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.request()

    exchange = ask(serve, handler)

    assert (exchange.end, exchange.reads) == (End.EOF, ())


def test_an_answer_given_before_the_request_was_taken_is_heard(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.head()
        await visitor.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        visitor.reset()

    async def main() -> Exchange:
        async with serve(handler) as url, RecordingClient() as client:
            return await client.send(Request(method="POST", url=url, body=b"x" * 32_000_000))

    exchange = asyncio.run(main())

    assert parse(exchange).status == 413
    assert (exchange.end, exchange.sent_ns) == (End.RESET, None)


def test_cancelling_reports_what_had_arrived_and_cancels(serve: Any) -> None:
    reported: list[Exchange] = []
    noticed: list[str] = []

    async def main() -> None:
        halfway = asyncio.Event()

        async def handler(visitor: Any) -> None:
            if b"/other" in await visitor.request():
                return
            await visitor.say(OK + b"\r\nhel")
            halfway.set()
            await visitor.gone()
            noticed.append("closed")

        async with serve(handler) as url, RecordingClient(on_exchange=reported.append) as client:
            task = asyncio.create_task(client.send(get(url), id="given up"))
            await halfway.wait()
            await client.send(get(url + "/other"), id="in between, so that the client reads")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()

    asyncio.run(main())

    assert [(one.id, one.end) for one in reported[1:]] == [("given up", End.CANCELLED)]
    assert parse(reported[-1]).body == b"hel"
    assert noticed == ["closed"]


def test_a_connection_that_is_never_accepted_ends_with_the_deadline(full_url: str) -> None:
    async def main() -> Exchange:
        async with RecordingClient() as client:
            return await client.send(get(full_url), timeout_s=0.05)

    exchange = asyncio.run(main())

    assert (exchange.end, exchange.connected_ns) == (End.TIMEOUT, None)
    assert exchange.detail.startswith("no connection to 127.0.0.1:")


def test_a_caller_that_gives_up_while_connecting_is_recorded(full_url: str) -> None:
    reported: list[Exchange] = []

    async def main() -> None:
        async with RecordingClient(on_exchange=reported.append) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.send(get(full_url)), timeout=0.05)

    asyncio.run(main())

    assert [(one.end, one.connected_ns) for one in reported] == [(End.CANCELLED, None)]


def test_every_exchange_is_reported_once_however_it_ends(serve: Any, dead_url: str) -> None:
    reported: list[Exchange] = []

    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.say(OK + b"\r\n")

    async def main() -> list[Exchange]:
        async with serve(handler) as url, RecordingClient(on_exchange=reported.append) as client:
            return [await client.send(get(url)), await client.send(get(dead_url))]

    assert asyncio.run(main()) == reported


def test_what_on_exchange_raises_is_raised(dead_url: str) -> None:
    def refuse(_: Exchange) -> None:
        raise OSError("the disk is full")

    async def main() -> None:
        async with RecordingClient(on_exchange=refuse) as client:
            await client.send(get(dead_url))

    with pytest.raises(OSError, match="the disk is full"):
        asyncio.run(main())


def test_id_and_labels_are_kept_and_ids_are_made_up(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.say(OK + b"\r\n")

    async def main() -> list[Exchange]:
        async with serve(handler) as url, RecordingClient() as client:
            labels = {"phase": "warm-up"}
            named = await client.send(get(url), id="one", labels=labels)
            labels["phase"] = "changed later"
            return [named, await client.send(get(url)), await client.send(get(url))]

    named, first, second = asyncio.run(main())

    assert (named.id, named.labels) == ("one", {"phase": "warm-up"})
    assert first.id != second.id


def test_exchanges_at_once_do_not_mix(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        path = (await visitor.request()).split()[1]
        await visitor.say(OK + b"\r\n", path)

    async def main() -> list[bytes]:
        async with serve(handler) as url, RecordingClient() as client:
            sent = [client.send(get(f"{url}/{number}")) for number in range(64)]
            return [parse(exchange).body for exchange in await asyncio.gather(*sent)]

    assert asyncio.run(main()) == [b"/%d" % number for number in range(64)]


def test_a_host_name_is_looked_up_and_its_addresses_are_tried_in_turn(serve: Any) -> None:
    async def handler(visitor: Any) -> None:
        await visitor.request()
        await visitor.say(OK + b"\r\n")

    async def main() -> Exchange:
        async with serve(handler) as url, RecordingClient() as client:
            return await client.send(get(url.replace("127.0.0.1", "localhost")))

    assert asyncio.run(main()).end is End.EOF


def test_a_request_that_cannot_be_sent_is_refused_before_anything_happens() -> None:
    reported: list[Exchange] = []

    async def main() -> None:
        async with RecordingClient(on_exchange=reported.append) as client:
            await client.send(get("ftp://127.0.0.1/"))

    with pytest.raises(WireError, match="write http://"):
        asyncio.run(main())
    assert reported == []


@pytest.mark.parametrize("timeout_s", [0, -1, float("inf"), float("nan")])
def test_a_deadline_must_be_a_positive_number_of_seconds(timeout_s: float) -> None:
    with pytest.raises(WireError, match="without a deadline could hang"):
        RecordingClient(timeout_s=timeout_s)


def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(WireError, match="async with"):
        asyncio.run(RecordingClient().send(get("http://127.0.0.1:9/")))


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="counts descriptors in /proc")
def test_no_ending_leaves_a_socket_open(serve: Any, dead_url: str) -> None:
    async def silent(visitor: Any) -> None:
        await visitor.gone()

    async def rude(visitor: Any) -> None:
        visitor.reset()

    async def main() -> None:
        async with RecordingClient() as client, serve(silent) as quiet, serve(rude) as curt:
            for url in (quiet, curt, dead_url):
                await client.send(get(url), timeout_s=0.05)
            task = asyncio.create_task(client.send(get(quiet)))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

    before = len(list(DESCRIPTORS.iterdir()))
    asyncio.run(main())

    assert len(list(DESCRIPTORS.iterdir())) == before


class LateReader:
    """A client whose loop is blocked, after it has sent, until the server has said all."""

    def __init__(self) -> None:
        self.blocked = threading.Event()
        self.answered = threading.Event()
        self.last_piece_ns = 0
        self.free_ns = 0

    def run(self) -> Exchange:
        return asyncio.run(self._main())

    async def _main(self) -> Exchange:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            loop = asyncio.get_running_loop()
            serving = threading.Thread(target=self._answer, args=(listener, loop))
            serving.start()
            async with RecordingClient() as client:
                host, port = listener.getsockname()
                exchange = await client.send(get(f"http://{host}:{port}/"))
            serving.join()
            return exchange

    def _answer(self, listener: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            loop.call_soon_threadsafe(self._block)
            self.blocked.wait()
            connection.sendall(OK + b"\r\ndata: 1\n\n")
            time.sleep(0.03)
            self.last_piece_ns = time.monotonic_ns()
            connection.sendall(b"data: 2\n\n")
        self.answered.set()

    def _block(self) -> None:
        self.blocked.set()
        self.answered.wait()
        self.free_ns = time.monotonic_ns()


def test_a_busy_client_does_not_bend_the_kernel_stamp() -> None:
    with asyncio.run(stamps.switch_on()):
        if not stamps._working():
            pytest.skip("this platform stamps no arrivals (SO_TIMESTAMPNS)")
    late = LateReader()

    exchange = late.run()

    assert exchange.clock is Clock.KERNEL
    assert late.last_piece_ns <= exchange.reads[-1].at_ns < late.free_ns


def test_without_the_kernel_a_busy_client_bends_its_stamps_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stamps, "_SUPPORTED", False)
    late = LateReader()
    exchange = late.run()

    assert exchange.clock is Clock.USER
    assert exchange.reads[-1].at_ns >= late.free_ns
