"""A load is played as planned: so many at once, or each when it is due; and it can be stopped."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from harness.load.driving import Call, Drive, Make, closed, scheduled
from harness.wire import End, Request, WireError
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from harness.wire.engine import Recorded, Ticket


class Counting(ThreadingHTTPServer):
    """Answers with the path it was asked; knows how many it was asked at once at most."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.asked: list[str] = []
        self.hold = threading.Event()
        self.hold.set()

    def handle_error(self, request: object, client_address: object) -> None:
        """Those who gave up are expected."""


class Handler(BaseHTTPRequestHandler):
    server: Counting

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.now += 1
            server.most = max(server.most, server.now)
            server.asked.append(self.path)
        server.hold.wait(30)
        with server.lock:
            server.now -= 1
        self.send_response(200)
        self.send_header("content-length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Counting]:
    with Counting() as counting:
        thread = threading.Thread(target=counting.serve_forever, args=(0.02,))
        thread.start()
        yield counting
        counting.hold.set()
        counting.shutdown()
        thread.join()


@pytest.fixture
def engine() -> Iterator[LoadEngine]:
    with LoadEngine(timeout_s=30, keep_alive=False) as running:
        yield running


def numbered(server: Counting) -> Make:
    port = server.server_address[1]
    return lambda number: Call(
        Request(method="GET", url=f"http://127.0.0.1:{port}/{number}"), {"model": "m"}
    )


def numbers(drive: Drive) -> list[int]:
    return sorted(int(one.labels["number"]) for one in drive.recorded)


def test_a_closed_loop_asks_each_number_once_and_never_more_than_its_users_at_once(
    server: Counting, engine: LoadEngine
) -> None:
    drive = closed(engine, numbered(server), users=3, requests=20, first=5)
    assert drive.complete
    assert numbers(drive) == list(range(5, 25))
    assert sorted(server.asked) == sorted(f"/{number}" for number in range(5, 25))
    assert server.most <= 3
    assert all(one.labels["model"] == "m" for one in drive.recorded)
    assert drive.after.exchanges - drive.before.exchanges == 20
    assert drive.ended_ns >= max(one.ended_ns for one in drive.recorded) > drive.begun_ns
    assert drive.seconds > 0


def test_all_users_are_under_way_together(server: Counting, engine: LoadEngine) -> None:
    server.hold.clear()
    got: list[Drive] = []
    caller = threading.Thread(
        target=lambda: got.append(closed(engine, numbered(server), users=4, requests=4))
    )
    caller.start()
    while server.now < 4:
        threading.Event().wait(0.005)
    server.hold.set()
    caller.join(30)
    assert (server.most, len(got[0].recorded)) == (4, 4)


def test_a_closed_loop_over_time_waits_for_the_last_answers(
    server: Counting, engine: LoadEngine
) -> None:
    drive = closed(engine, numbered(server), users=2, seconds=0.05, stagger_s=0.02)
    assert drive.complete
    assert len(drive.recorded) >= 2
    assert all(one.end is End.EOF for one in drive.recorded)
    assert numbers(drive) == list(range(len(drive.recorded)))


def test_staggered_users_start_when_the_seed_says(server: Counting, engine: LoadEngine) -> None:
    drive = closed(engine, numbered(server), users=3, requests=3, stagger_s=0.05, seed=7)
    due = [one.due_ns - drive.begun_ns for one in drive.recorded]
    again = closed(engine, numbered(server), users=3, requests=3, stagger_s=0.05, seed=7)
    assert due == [one.due_ns - again.begun_ns for one in again.recorded]
    assert len(set(due)) == 3
    assert all(one.started_ns >= one.due_ns for one in drive.recorded)


def test_a_schedule_is_asked_when_due_whatever_has_been_answered(
    server: Counting, engine: LoadEngine
) -> None:
    server.hold.clear()
    moments = [0.0, 0.01, 0.02, 0.03]
    threading.Timer(0.1, server.hold.set).start()
    drive = scheduled(engine, numbered(server), moments, first=2)
    assert drive.complete
    assert [one.due_ns - drive.begun_ns for one in drive.recorded] == [
        round(moment * 1e9) for moment in moments
    ]
    assert [int(one.labels["number"]) for one in drive.recorded] == [2, 3, 4, 5]
    assert all(one.dispatch_lag_ns >= 0 for one in drive.recorded)


@pytest.mark.parametrize("open_loop", [False, True])
def test_stopping_gives_up_what_is_under_way_and_keeps_it(
    server: Counting, engine: LoadEngine, *, open_loop: bool
) -> None:
    server.hold.clear()
    stop = threading.Event()

    def make(number: int) -> Call:
        if number == 3:
            stop.set()
        return numbered(server)(number)

    drive = (
        scheduled(engine, make, [0.0, 0.0, 0.0, 0.0, 60.0], stop=stop)
        if open_loop
        else closed(engine, make, users=4, seconds=60, stop=stop)
    )
    assert not drive.complete
    assert numbers(drive) == [0, 1, 2, 3]
    assert {one.end for one in drive.recorded} == {End.CANCELLED}


def test_a_request_that_cannot_be_made_gives_up_the_others_and_is_raised(
    server: Counting, engine: LoadEngine
) -> None:
    server.hold.clear()

    def make(number: int) -> Call:
        if number == 2:
            return Call(Request(method="GET", url="gopher://nowhere"))
        return numbered(server)(number)

    with pytest.raises(WireError, match="gopher"):
        closed(engine, make, users=3, requests=3)


def test_users_wait_for_requests_that_are_slow_to_make(
    server: Counting, engine: LoadEngine
) -> None:
    slow = threading.Event()

    def make(number: int) -> Call:
        slow.wait(0.002)
        return numbered(server)(number)

    drive = closed(engine, make, users=4, requests=60)
    assert drive.complete
    assert numbers(drive) == list(range(60))
    assert server.most <= 4


def test_a_request_follows_without_the_thread_that_plays_the_load(
    server: Counting, engine: LoadEngine
) -> None:
    made: list[int] = []

    def make(number: int) -> Call:
        while number == 18 and len(server.asked) < 17:  # the others are asked meanwhile
            threading.Event().wait(0.001)
        made.append(number)
        return numbered(server)(number)

    drive = closed(engine, make, users=1, requests=20)
    assert drive.complete
    assert made == list(range(20))


def test_an_engine_that_stops_ends_the_load_with_an_error(server: Counting) -> None:
    with LoadEngine(timeout_s=30, keep_alive=False) as engine:

        def make(number: int) -> Call:
            if number == 40:
                engine.close()
            return numbered(server)(number)

        with pytest.raises(WireError, match="the engine has stopped"):
            closed(engine, make, users=2, seconds=30)


@pytest.mark.parametrize("open_loop", [False, True])
def test_a_load_ends_when_it_is_enough(
    server: Counting, engine: LoadEngine, *, open_loop: bool
) -> None:
    def enough(ended: Sequence[Recorded], under_way: Collection[Ticket]) -> bool:
        if len(ended) >= 3:
            server.hold.clear()
        return len(ended) >= 3 and any(ticket.so_far() for ticket in under_way)

    make = numbered(server)
    drive = (
        scheduled(engine, make, (0.001 * number for number in range(60_000)), enough=enough)
        if open_loop
        else closed(engine, make, users=4, seconds=60, enough=enough)
    )
    assert (drive.cut, drive.complete) == (True, False)
    assert {one.end for one in drive.recorded} == {End.EOF, End.CANCELLED}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"users": 0, "requests": 1}, "0 users: give at least 1"),
        ({"users": 1}, "without an end"),
        ({"users": 1, "seconds": 0.0}, "give more than 0"),
        ({"users": 1, "requests": 0}, "give more than 0"),
    ],
)
def test_a_loop_that_makes_no_sense_is_refused(
    engine: LoadEngine, server: Counting, options: dict[str, float], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        closed(engine, numbered(server), **options)  # type: ignore[arg-type]
    assert server.asked == []


def test_moments_must_ascend(engine: LoadEngine, server: Counting) -> None:
    with pytest.raises(ValueError, match=r"request 1 is due at 0\.0 s, after one at 0\.01 s"):
        scheduled(engine, numbered(server), [0.01, 0.0])
