from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.wire import Clock, End, Exchange, RecordingClient, Request, WireError, frames, parse
from harness.wire.engine import LoadEngine, Recorded, Ticket
from harness.wire.engine.natives import Bell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EVENTS = [b"9\r\ndata: %d\n\n\r\n" % n for n in range(5)]
LAST = b"0\r\n\r\n"
STREAM = CHUNKED + b"".join(EVENTS) + LAST
LIMIT_S = 30
DESCRIPTORS = Path("/proc/self/fd")


def get(url: str) -> Request:
    return Request(method="GET", url=url)


@pytest.fixture(scope="module")
def engine() -> Iterator[LoadEngine]:
    with LoadEngine(timeout_s=LIMIT_S) as running:
        yield running


def once(serving: Any, script: Callable[[Any], None], **options: Any) -> Recorded:
    """Run one exchange against ``script``; ``serving`` also says that the socket was closed."""
    with serving(script) as url, LoadEngine(timeout_s=LIMIT_S) as engine:
        return engine.submit(get(url), **options).wait(LIMIT_S)


def saying(*parts: bytes) -> Callable[[Any], None]:
    """Answer every request on the connection with ``parts``."""

    def script(visit: Any) -> None:
        while visit.request():
            visit.say(*parts)

    return script


def test_answers_follow_one_another_on_one_connection(serving: Any) -> None:
    with serving(saying(STREAM)) as url, LoadEngine(timeout_s=LIMIT_S, rest_s=0.0) as engine:
        recorded = [engine.submit(get(url)).wait(LIMIT_S) for _ in range(3)]

    assert [(r.exchange.end, r.use) for r in recorded] == [(End.KEPT, use) for use in (1, 2, 3)]
    for one in recorded:
        assert b"".join(read.data for read in one.exchange.reads) == STREAM
        assert parse(one.exchange).complete


def test_without_keep_alive_the_contract_is_that_of_the_recording_client(serving: Any) -> None:
    heard: list[bytes] = []

    def script(visit: Any) -> None:
        heard.append(visit.request())
        visit.say(LENGTH)

    with serving(script) as url, LoadEngine(keep_alive=False) as engine:
        recorded = engine.submit(get(url)).wait(LIMIT_S)

    assert (recorded.exchange.end, recorded.use) == (End.EOF, 1)
    assert b"Connection: close\r\n" in heard[0]


def test_a_peer_that_says_close_is_read_until_it_does(serving: Any) -> None:
    def script(visit: Any) -> None:
        visit.request()
        visit.say(OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello")

    assert once(serving, script).exchange.end is End.EOF


def test_the_moments_of_an_exchange_stand_in_order(serving: Any) -> None:
    recorded = once(serving, saying(CHUNKED, *EVENTS, LAST))
    exchange = recorded.exchange

    assert exchange.connected_ns is not None
    assert exchange.sent_ns is not None
    assert recorded.submitted_ns <= exchange.started_ns <= exchange.connected_ns
    arrivals = [read.at_ns for read in exchange.reads]
    assert arrivals == sorted(arrivals)
    assert exchange.connected_ns <= arrivals[0]
    assert arrivals[-1] <= exchange.ended_ns
    assert recorded.dispatch_lag_ns == exchange.started_ns - recorded.submitted_ns >= 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps arrivals")
def test_the_kernel_stamps_and_says_how_late_each_read_was(serving: Any) -> None:
    recorded = once(serving, saying(CHUNKED, *EVENTS, LAST))
    assert recorded.exchange.clock is Clock.KERNEL
    assert len(recorded.receive_lags_ns) == recorded.reads
    assert min(recorded.receive_lags_ns) >= 0


def test_without_kernel_stamps_no_receive_lag_is_claimed(serving: Any) -> None:
    recorded = once(serving, saying(STREAM))
    recorded.offsets_ns = (None, 0)
    assert recorded.exchange.clock is Clock.USER
    assert recorded.receive_lags_ns == ()


def test_events_that_share_a_read_are_marked_with_their_interval(serving: Any) -> None:
    exchange = once(serving, saying(CHUNKED, EVENTS[0] + EVENTS[1], LAST)).exchange
    together = [f for f in frames(parse(exchange).pieces) if f.data in (b"0", b"1")]
    assert [frame.merged for frame in together] == [True, True]


def test_a_request_starts_when_it_is_scheduled_and_not_before(serving: Any) -> None:
    with serving(saying(LENGTH)) as url, LoadEngine() as engine:
        at = time.monotonic_ns() + 30_000_000
        later = engine.submit(get(url), scheduled_ns=at)
        earlier = engine.submit(get(url), scheduled_ns=at - 20_000_000)
        recorded = [later.wait(LIMIT_S), earlier.wait(LIMIT_S)]

    assert [r.due_ns for r in recorded] == [at, at - 20_000_000]
    assert all(r.dispatch_lag_ns >= 0 for r in recorded)
    assert recorded[1].started_ns < recorded[0].started_ns


def test_a_schedule_in_the_past_shows_as_dispatch_lag(serving: Any) -> None:
    at = time.monotonic_ns() - 1_000_000_000
    recorded = once(serving, saying(LENGTH), scheduled_ns=at)
    assert recorded.dispatch_lag_ns >= 1_000_000_000


def test_a_body_larger_than_the_socket_takes_at_once_arrives_whole(serving: Any) -> None:
    heard: list[bytes] = []

    def script(visit: Any) -> None:
        heard.append(visit.request())
        visit.say(LENGTH)

    body = bytes(range(256)) * 40_000
    with serving(script) as url, LoadEngine() as engine:
        recorded = engine.submit(Request(method="POST", url=url, body=body)).wait(LIMIT_S)

    assert heard[0].endswith(body)
    assert recorded.exchange.sent_ns is not None


def test_an_early_refusal_of_a_large_body_is_kept(serving: Any) -> None:
    def script(visit: Any) -> None:
        visit.sock.recv(1000)
        visit.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        visit.sock.shutdown(2)

    body = bytes(20_000_000)
    with serving(script) as url, LoadEngine() as engine:
        recorded = engine.submit(Request(method="POST", url=url, body=body)).wait(LIMIT_S)

    assert parse(recorded.exchange).status == 413


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps arrivals")
def test_a_saturated_client_is_told_and_bends_no_stamp(serving: Any) -> None:
    """The loop is held up for 50 ms while an answer lies in the socket."""
    held, sent = threading.Event(), threading.Event()

    def script(visit: Any) -> None:
        visit.request()
        assert held.wait(LIMIT_S)
        visit.say(LENGTH)
        stamps.append(time.monotonic_ns())
        sent.set()
        visit.gone()

    def hold_up() -> None:
        held.set()
        sent.wait(LIMIT_S)
        time.sleep(0.05)

    stamps: list[int] = []
    with serving(script) as url, LoadEngine(timeout_s=LIMIT_S) as engine:
        ticket = engine.submit(get(url))
        while not engine.vitals().loop_lag.count:  # connected: the request is on its way
            time.sleep(0.001)
        engine._loop.post(hold_up)
        second = engine.submit(get(url), timeout_s=0.001)
        recorded = ticket.wait(LIMIT_S)
        late = second.wait(LIMIT_S)

    assert max(recorded.receive_lags_ns) >= 50_000_000
    assert recorded.exchange.reads[-1].at_ns <= stamps[0]
    assert late.dispatch_lag_ns >= 50_000_000


# Failures


def test_an_answer_cut_short_by_an_orderly_close_is_no_whole_one(serving: Any) -> None:
    def script(visit: Any) -> None:
        visit.request()
        visit.say(CHUNKED, EVENTS[0])

    exchange = once(serving, script).exchange
    assert exchange.end is End.EOF
    assert parse(exchange).fault == "the last chunk is missing after 9 bytes of body (eof)"


def test_a_reset_in_mid_body_keeps_what_came_before(serving: Any) -> None:
    def script(visit: Any) -> None:
        visit.request()
        visit.say(OK + b"Content-Length: 10\r\n\r\nhello")
        told.wait(LIMIT_S)
        visit.reset()

    told = threading.Event()
    with serving(script) as url, LoadEngine(timeout_s=LIMIT_S) as engine:
        ticket = engine.submit(get(url))
        while not engine.vitals().loop_lag.count > 1:
            time.sleep(0.001)
        told.set()
        exchange = ticket.wait(LIMIT_S).exchange

    assert exchange.end is End.RESET
    assert "reset by peer" in exchange.detail
    assert parse(exchange).body == b"hello"


def test_a_refused_connection_is_an_ending(dead_url: str, engine: LoadEngine) -> None:
    exchange = engine.submit(get(dead_url)).wait(LIMIT_S).exchange
    assert exchange.end is End.REFUSED
    assert dead_url.removeprefix("http://") in exchange.detail
    assert (exchange.connected_ns, exchange.sent_ns, exchange.reads) == (None, None, ())


def test_an_address_that_cannot_be_reached_is_an_ending(engine: LoadEngine) -> None:
    exchange = engine.submit(get("http://255.255.255.255:9/")).wait(LIMIT_S).exchange
    assert exchange.end is End.UNREACHABLE


def test_a_name_nobody_has_is_an_ending(engine: LoadEngine) -> None:
    exchange = engine.submit(get("http://nobody.invalid/")).wait(LIMIT_S).exchange
    assert exchange.end is End.UNREACHABLE
    assert "nobody.invalid" in exchange.detail


def test_a_name_is_looked_up(serving: Any) -> None:
    with serving(saying(LENGTH)) as url, LoadEngine() as engine:
        named = url.replace("127.0.0.1", "localhost")
        tickets = [engine.submit(get(named)) for _ in range(3)]
        assert {ticket.wait(LIMIT_S).exchange.end for ticket in tickets} == {End.KEPT}


def test_silence_ends_with_the_deadline(serving: Any) -> None:
    exchange = once(serving, lambda visit: visit.gone(), timeout_s=0.05).exchange
    assert exchange.end is End.TIMEOUT
    assert exchange.detail == "no end of the answer within 0.05 s; 0 bytes received"
    assert exchange.ended_ns - exchange.started_ns >= 50_000_000


def test_a_server_slower_than_the_deadline_keeps_what_came_before(serving: Any) -> None:
    def script(visit: Any) -> None:
        visit.request()
        visit.say(CHUNKED, EVENTS[0])
        visit.gone()

    exchange = once(serving, script, timeout_s=0.1).exchange
    assert exchange.end is End.TIMEOUT
    assert parse(exchange).body == b"data: 0\n\n"


def test_a_listener_that_accepts_nobody_ends_with_the_deadline(
    full_url: str, engine: LoadEngine
) -> None:
    exchange = engine.submit(get(full_url), timeout_s=0.05).wait(LIMIT_S).exchange
    assert (exchange.end, exchange.connected_ns) == (End.TIMEOUT, None)
    assert exchange.detail.startswith("no connection to ")


def test_an_idle_connection_that_the_peer_closes_is_not_used_again(serving: Any) -> None:
    def script(visit: Any) -> None:
        visit.request()
        visit.say(LENGTH)

    with serving(script) as url, LoadEngine(timeout_s=LIMIT_S) as engine:
        first = engine.submit(get(url)).wait(LIMIT_S)
        while engine.vitals().idle:
            time.sleep(0.001)
        second = engine.submit(get(url)).wait(LIMIT_S)

    assert [r.exchange.end for r in (first, second)] == [End.KEPT, End.KEPT]
    assert second.use == 1


def test_a_connection_closed_just_as_it_is_used_again_says_so(serving: Any) -> None:
    def script(visit: Any) -> None:
        visit.request()
        visit.say(LENGTH)
        visit.request()

    with serving(script) as url, LoadEngine(timeout_s=LIMIT_S, rest_s=0.0) as engine:
        engine.submit(get(url)).wait(LIMIT_S)
        exchange = engine.submit(get(url)).wait(LIMIT_S).exchange

    assert (exchange.end, exchange.reads) == (End.EOF, ())
    assert exchange.detail == "closed by the peer before use 2 of the connection"


def test_where_each_connection_is_closed_after_its_answer_nothing_is_lost(serving: Any) -> None:
    def script(visit: Any) -> None:
        visit.request()
        visit.say(LENGTH)

    with serving(script) as url, LoadEngine(timeout_s=LIMIT_S, rest_s=0.9) as engine:
        recorded = [engine.submit(get(url)).wait(LIMIT_S) for _ in range(20)]

    assert [(r.exchange.end, r.use) for r in recorded] == [(End.KEPT, 1)] * 20


def test_who_closed_one_as_it_was_used_again_is_asked_on_new_ones(serving: Any) -> None:
    def script(visit: Any) -> None:
        visit.request()
        visit.say(LENGTH)
        visit.request()

    with serving(script) as url, LoadEngine(timeout_s=LIMIT_S, rest_s=0.0) as engine:
        recorded = [engine.submit(get(url)).wait(LIMIT_S) for _ in range(5)]

    ends = [(r.exchange.end, r.use) for r in recorded]
    assert ends == [(End.KEPT, 1), (End.EOF, 2), *[(End.KEPT, 1)] * 3]


def test_a_connection_rests_only_until_its_host_has_kept_one(serving: Any) -> None:
    with serving(saying(LENGTH)) as url, LoadEngine(timeout_s=LIMIT_S, rest_s=0.9) as engine:
        engine._running._rest_ns = 0  # type: ignore[union-attr] # the first has rested
        uses = [engine.submit(get(url)).wait(LIMIT_S).use for _ in range(2)]
        engine._running._rest_ns = 10**18  # type: ignore[union-attr]
        uses += [engine.submit(get(url)).wait(LIMIT_S).use for _ in range(2)]

    assert uses == [1, 2, 3, 4]


def test_a_connection_idle_for_too_long_is_closed(serving: Any) -> None:
    with serving(saying(LENGTH)) as url, LoadEngine(idle_s=0.01) as engine:
        engine.submit(get(url)).wait(LIMIT_S)
        while engine.vitals().idle:
            time.sleep(0.01)


def test_an_answer_above_its_limit_is_cut_off(serving: Any) -> None:
    def script(visit: Any) -> None:
        visit.request()
        visit.say(OK + b"Content-Length: 1000000\r\n\r\n")
        while True:
            visit.say(bytes(1000))

    with serving(script) as url, LoadEngine(max_answer_bytes=5000) as engine:
        recorded = engine.submit(get(url)).wait(LIMIT_S)

    assert recorded.exchange.end is End.CANCELLED
    assert "limit of 5000 bytes" in recorded.exchange.detail


def test_answers_that_pass_their_limit_together_are_cut_off_longest_first(serving: Any) -> None:
    def script(visit: Any) -> None:
        size = int(visit.request().split()[1][1:])
        visit.say(OK + b"Content-Length: 10000000\r\n\r\n", bytes(size))
        visit.gone()

    with serving(script) as url, LoadEngine(max_kept_bytes=100_000, timeout_s=1) as engine:
        small, large = (engine.submit(get(url + size)) for size in ("20000", "90000"))
        ends = [ticket.wait(LIMIT_S).exchange for ticket in (small, large)]

    assert [exchange.end for exchange in ends] == [End.TIMEOUT, End.CANCELLED]
    assert "limit of 100000 bytes together" in ends[1].detail


# Giving up


def test_a_request_under_way_can_be_given_up(serving: Any) -> None:
    arrived = threading.Event()

    def script(visit: Any) -> None:
        visit.request()
        arrived.set()
        visit.gone()

    with serving(script) as url, LoadEngine(timeout_s=LIMIT_S) as engine:
        ticket = engine.submit(get(url))
        assert arrived.wait(LIMIT_S)
        ticket.cancel()
        exchange = ticket.wait(LIMIT_S).exchange

    assert (exchange.end, exchange.detail) == (End.CANCELLED, "cancelled by the caller")


def test_a_request_that_has_not_started_can_be_given_up(engine: LoadEngine, dead_url: str) -> None:
    ticket = engine.submit(get(dead_url), scheduled_ns=time.monotonic_ns() + 10**12)
    ticket.cancel()
    exchange = ticket.wait(LIMIT_S).exchange
    assert (exchange.end, exchange.detail) == (End.CANCELLED, "cancelled before its start")


def test_giving_up_what_has_ended_changes_nothing(engine: LoadEngine, dead_url: str) -> None:
    ticket = engine.submit(get(dead_url))
    recorded = ticket.wait(LIMIT_S)
    ticket.cancel()
    engine.submit(get(dead_url)).wait(LIMIT_S)  # the order to give up has been carried out
    assert ticket.wait() is recorded
    assert recorded.end is End.REFUSED


def test_cancelling_the_task_that_awaits_gives_the_request_up(serving: Any) -> None:
    with serving(lambda visit: visit.gone()) as url, LoadEngine(timeout_s=LIMIT_S) as engine:
        ticket = engine.submit(get(url))

        async def main() -> None:
            async def wait() -> Recorded:
                return await ticket

            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert ticket.wait(LIMIT_S).exchange.end is End.CANCELLED


def test_closing_the_engine_ends_what_is_under_way_and_what_waits(serving: Any) -> None:
    with serving(lambda visit: visit.gone()) as url:
        with LoadEngine(max_in_flight=1) as engine:
            tickets = [engine.submit(get(url)) for _ in range(3)]
            tickets.append(engine.submit(get(url), scheduled_ns=time.monotonic_ns() + 10**12))
        exchanges = [ticket.wait(LIMIT_S).exchange for ticket in tickets]

    assert {exchange.end for exchange in exchanges} == {End.CANCELLED}
    assert {exchange.detail for exchange in exchanges} == {"the engine was closed"}
    engine.close()


# Many, and at their limits


def test_a_thousand_streams_at_once_are_all_recorded_whole(serve: Any) -> None:
    streams, events = 1000, 8

    async def handler(visitor: Any) -> None:
        with suppress(asyncio.IncompleteReadError):  # the client left
            while True:
                await visitor.request()
                await visitor.say(CHUNKED)
                for event in EVENTS + EVENTS[:3]:
                    await asyncio.sleep(0.02)
                    await visitor.say(event)
                await visitor.say(LAST)

    async def main() -> list[Recorded]:
        with LoadEngine(timeout_s=LIMIT_S, max_in_flight=streams) as engine:
            async with serve(handler) as url:
                found = await asyncio.gather(*(engine.submit(get(url)) for _ in range(streams)))
                most.append(engine.vitals().most_in_flight)
                engine.close()
                return found

    most: list[int] = []
    recorded = asyncio.run(main())

    assert {r.exchange.end for r in recorded} == {End.KEPT}
    assert {len(frames(parse(r.exchange).pieces)) for r in recorded} == {events}
    assert most[0] > 1


def test_no_ticket_is_lost_between_threads_that_ask_give_up_and_close(
    serving: Any, dead_url: str
) -> None:
    tickets: list[Ticket] = []

    def user(number: int, url: str, engine: LoadEngine) -> None:
        source = random.Random(number)
        while True:
            far = source.random() < 0.1
            at = time.monotonic_ns() + (10**12 if far else source.randrange(3_000_000))
            try:
                ticket = engine.submit(get(source.choice([url, url, dead_url])), scheduled_ns=at)
            except WireError as error:
                told.append(str(error))
                return
            tickets.append(ticket)
            if source.random() < 0.3:
                ticket.cancel()
            elif not far and source.random() < 0.3:
                ticket.wait(LIMIT_S)

    told: list[str] = []
    with serving(saying(CHUNKED, *EVENTS, LAST)) as url:
        with LoadEngine(max_in_flight=20) as engine:
            users = [
                threading.Thread(target=user, args=(number, url, engine)) for number in range(4)
            ]
            for one in users:
                one.start()
            while engine.vitals().exchanges < 300:
                time.sleep(0.001)
        for one in users:
            one.join(LIMIT_S)
        ends = {ticket.wait(LIMIT_S).end for ticket in tickets}

    assert ends == {End.KEPT, End.REFUSED, End.CANCELLED}
    assert told == ["the engine has stopped. Start another one."] * len(users)


def test_above_the_limit_in_flight_requests_wait_their_turn(serving: Any) -> None:
    with serving(saying(LENGTH)) as url, LoadEngine(max_in_flight=2) as engine:
        tickets = [engine.submit(get(url)) for _ in range(20)]
        assert {ticket.wait(LIMIT_S).exchange.end for ticket in tickets} == {End.KEPT}
        assert engine.vitals().most_in_flight <= 2
        assert engine.vitals().opened <= 2


def test_a_full_queue_refuses(dead_url: str) -> None:
    far = time.monotonic_ns() + 10**12
    with LoadEngine(max_queued=2) as small:
        for _ in range(2):
            small.submit(get(dead_url), scheduled_ns=far)
        with pytest.raises(WireError, match="2 requests wait already"):
            small.submit(get(dead_url), scheduled_ns=far)


def test_what_was_prepared_is_handed_over_in_the_callback_of_another(serving: Any) -> None:
    with serving(saying(LENGTH)) as url, LoadEngine(timeout_s=LIMIT_S, rest_s=0.0) as engine:
        first, second = engine.prepare(get(url)), engine.prepare(get(url))
        assert (first.submitted_ns, engine.vitals().queued) == (0, 0)
        first.add_done_callback(lambda _: engine.hand_over(second))
        engine.hand_over(first)
        recorded = second.wait(LIMIT_S)

    assert recorded.end is End.KEPT
    assert recorded.use == 2
    assert recorded.due_ns >= first.wait().ended_ns


def test_a_ticket_is_handed_over_once(engine: LoadEngine, dead_url: str) -> None:
    ticket = engine.submit(get(dead_url))
    with pytest.raises(WireError, match="handed over once"):
        engine.hand_over(ticket)


def test_tickets_that_would_overfill_the_queue_are_refused_together(dead_url: str) -> None:
    far = time.monotonic_ns() + 10**12
    with LoadEngine(max_queued=2) as small:
        tickets = [small.prepare(get(dead_url), scheduled_ns=far) for _ in range(3)]
        with pytest.raises(WireError, match="0 requests wait already"):
            small.hand_over(*tickets)
        assert small.vitals().queued == 0
        small.hand_over(*tickets[:2])


def test_a_prepared_request_can_be_given_up_before_it_is_handed_over(
    engine: LoadEngine, dead_url: str
) -> None:
    ticket = engine.prepare(get(dead_url))
    ticket.cancel()
    recorded = ticket.wait(LIMIT_S)
    engine.hand_over(ticket)
    assert recorded.end is End.CANCELLED
    assert recorded.dispatch_lag_ns == 0


def test_what_is_under_way_can_be_looked_at(serving: Any) -> None:
    said, over = threading.Event(), threading.Event()

    def script(visit: Any) -> None:
        visit.request()
        visit.say(CHUNKED, EVENTS[0])
        said.set()
        over.wait(LIMIT_S)
        visit.say(EVENTS[1], LAST)

    with serving(script) as url, LoadEngine(timeout_s=LIMIT_S) as engine:
        far = engine.submit(get(url), scheduled_ns=time.monotonic_ns() + 10**12)
        ticket = engine.submit(get(url))
        assert said.wait(LIMIT_S)
        while not ((now := ticket.so_far()) and now.tape.size >= len(CHUNKED + EVENTS[0])):
            time.sleep(0.001)
        before, untouched = far.so_far(), ticket.so_far()
        over.set()
        recorded = ticket.wait(LIMIT_S)

    assert before is None
    assert now.end is End.CANCELLED
    assert untouched is not None
    assert untouched.tape.pieces == now.tape.pieces
    assert b"".join(now.tape.pieces) == CHUNKED + EVENTS[0]
    assert b"".join(recorded.tape.pieces) == CHUNKED + EVENTS[0] + EVENTS[1] + LAST
    assert ticket.so_far() is recorded


def test_descriptors_are_given_back(serving: Any) -> None:
    if not DESCRIPTORS.exists():
        pytest.skip("needs /proc")
    before = len(list(DESCRIPTORS.iterdir()))
    for _ in range(3):
        once(serving, saying(LENGTH))
    assert len(list(DESCRIPTORS.iterdir())) <= before


@pytest.mark.parametrize(
    "limits",
    [
        {"max_in_flight": 0},
        {"max_queued": -1},
        {"max_answer_bytes": 0},
        {"max_kept_bytes": 0},
        {"idle_s": 0},
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="give more than 0"):
        LoadEngine(**limits)


def test_more_in_flight_than_descriptors_is_refused() -> None:
    with pytest.raises(WireError, match="ulimit -n"):
        LoadEngine(max_in_flight=10**9)


def test_a_request_that_cannot_be_sent_is_refused_at_once(engine: LoadEngine) -> None:
    with pytest.raises(WireError):
        engine.submit(get("ftp://a.test/"))
    with pytest.raises(WireError):
        engine.submit(get("http://a.test/"), timeout_s=0)


def test_an_engine_that_does_not_run_says_what_to_do(dead_url: str) -> None:
    engine = LoadEngine()
    with pytest.raises(WireError, match="with LoadEngine"):
        engine.submit(get(dead_url))
    engine.close()
    with engine, pytest.raises(WireError, match="started before"):
        engine.start()
    with pytest.raises(WireError, match="has stopped"):
        engine.submit(get(dead_url))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_told_to_start_its_own(engine: LoadEngine, dead_url: str) -> None:
    child = os.fork()
    if not child:
        try:
            engine.submit(get(dead_url))
        except WireError as error:
            os._exit("after the fork" in str(error))
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_a_bug_in_the_loop_ends_every_ticket_and_is_told(serving: Any) -> None:
    with serving(lambda visit: visit.gone()) as url, LoadEngine() as engine:
        ticket = engine.submit(get(url))
        engine._loop.post(lambda: 1 / 0)  # type: ignore[arg-type]
        exchange = ticket.wait(LIMIT_S).exchange
        assert exchange.end is End.CANCELLED
        assert "ZeroDivisionError" in exchange.detail
        with pytest.raises(WireError, match="ZeroDivisionError"):
            engine.submit(get(url))


def test_a_callback_that_fails_harms_nobody(
    engine: LoadEngine, dead_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    bell = Bell()

    def fail(_: Ticket) -> None:
        bell.ring()
        raise ValueError("planted")

    engine.submit(get(dead_url), timeout_s=5).add_done_callback(fail)
    assert bell.wait(LIMIT_S)
    assert engine.submit(get(dead_url)).wait(LIMIT_S).end is End.REFUSED
    assert "planted" in capfd.readouterr().err
    ended = engine.submit(get(dead_url))
    ended.wait(LIMIT_S)
    ended.add_done_callback(fail)
    assert "planted" in capfd.readouterr().err, "likewise where it is called at once"
    bell.close()


def test_waiting_has_a_limit_of_its_own(serving: Any) -> None:
    go = threading.Event()

    def script(visit: Any) -> None:
        visit.request()
        go.wait(LIMIT_S)
        visit.say(LENGTH)

    with serving(script) as url, LoadEngine(timeout_s=LIMIT_S) as engine:
        ticket = engine.submit(get(url))
        with pytest.raises(TimeoutError, match="it goes on"):
            ticket.wait(0.01)
        go.set()
        assert ticket.wait(LIMIT_S).exchange.end is End.KEPT


UNDER_GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent, socket, sys
from harness.wire import Request, parse
from harness.wire.engine import LoadEngine
order = []
def serve(listener):
    while True:
        gevent.spawn(answer, listener.accept()[0])
def answer(sock):
    while sock.recv(1000):
        gevent.sleep(0.05)
        sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
listener = socket.create_server(("127.0.0.1", 0))
gevent.spawn(serve, listener)
url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
with LoadEngine(timeout_s=20) as engine:
    def user(n):
        order.append(("asks", n))
        recorded = engine.submit(Request(method="GET", url=url)).wait(20)
        order.append(("has", n, parse(recorded.exchange).body, recorded.exchange.clock.value))
    gevent.joinall([gevent.spawn(user, n) for n in range(3)], raise_error=True)
assert [o[0] for o in order] == ["asks"] * 3 + ["has"] * 3, order
print(order[-1])
"""


def test_under_gevent_only_the_greenlet_waits() -> None:
    pytest.importorskip("gevent", reason="gevent comes with the extra: pip install '.[load]'")
    done = subprocess.run(
        [sys.executable, "-c", UNDER_GEVENT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "b'hi'" in done.stdout


# One meaning, whoever records


def both(url: str, engine: LoadEngine) -> tuple[Exchange, Exchange]:
    async def main() -> Exchange:
        async with RecordingClient(timeout_s=LIMIT_S) as client:
            return await client.send(get(url))

    return asyncio.run(main()), engine.submit(get(url)).wait(LIMIT_S).exchange


@settings(max_examples=40)
@given(
    whole=st.sampled_from([STREAM, LENGTH, OK + b"\r\nhello", b"no HTTP", CHUNKED + b"x\r\n"]),
    keep=st.integers(0, 200),
    at=st.lists(st.integers(1, 150), max_size=6),
)
def test_the_engine_and_the_client_record_the_same_answer(
    one_server: Any, engine: LoadEngine, whole: bytes, keep: int, at: list[int]
) -> None:
    said = whole[:keep]
    edges = [0, *sorted({position for position in at if position < len(said)}), len(said)]

    def script(visit: Any) -> None:
        visit.request()
        visit.say(*(said[a:b] for a, b in pairwise(edges)))

    theirs, ours = (parse(exchange) for exchange in both(one_server(script), engine))

    for field in ("status", "reason", "headers", "body", "complete", "fault"):
        assert getattr(ours, field) == getattr(theirs, field)
    assert b"".join(piece.data for piece in ours.pieces) == ours.body


def test_a_crowd_whose_arrivals_gather_is_recorded_whole(serving: Any) -> None:
    """More in flight than from which on the loop waits, more at once than start in one turn."""
    users, all_here = 80, threading.Barrier(80)

    def script(visit: Any) -> None:
        visit.request()
        visit.say(CHUNKED)
        all_here.wait(LIMIT_S)
        visit.say(*EVENTS, LAST)
        visit.gone()

    with serving(script) as url, LoadEngine(timeout_s=LIMIT_S, gather_s=0.002) as engine:
        tickets = [engine.submit(get(url)) for _ in range(users)]
        recorded = [ticket.wait(LIMIT_S) for ticket in tickets]
        assert engine.vitals().most_in_flight == users

    for one in recorded:
        assert b"".join(read.data for read in one.exchange.reads) == STREAM


def test_arrivals_gather_for_less_than_a_second() -> None:
    for seconds in (-0.1, 1.0):
        with pytest.raises(WireError, match="gather_s"):
            LoadEngine(gather_s=seconds)
