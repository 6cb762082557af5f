from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.load.trust import Reference, Sentinel
from harness.wire import WireError
from harness.wire.engine.recorded import UNSTAMPED, Tape

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.wire import Request


class Kept:
    """What was recorded of an answer: its reads."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.tape = Tape((b"a read", 1, UNSTAMPED, b"another", 2, UNSTAMPED))


class Ticket:
    """One that ends when it is told to."""

    def __init__(self, number: int, scheduled_ns: int) -> None:
        self.id, self.scheduled_ns = str(number), scheduled_ns
        self.recorded = Kept(number)
        self.cancelled = False
        self._call: Callable[[Ticket], object] = lambda _: None

    def add_done_callback(self, call: Callable[[Ticket], object]) -> None:
        self._call = call

    def cancel(self) -> None:
        self.cancelled = True

    def end(self) -> None:
        self._call(self)


class Engine:
    """Takes requests and does nothing with them."""

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.urls: list[str] = []
        self.closed = False

    def submit(self, request: Request, *, scheduled_ns: int, labels: dict[str, str]) -> Ticket:
        assert labels
        if self.closed:
            raise WireError("the engine has stopped")
        self.urls.append(request.url)
        self.tickets.append(Ticket(len(self.tickets), scheduled_ns))
        return self.tickets[-1]


@pytest.fixture
def reference() -> Reference:
    made = Reference(rate=50)
    made._urls.append("http://127.0.0.1:1")
    return made


def sentinel(engine: Engine, reference: Reference, **more: int) -> Sentinel:
    return Sentinel(cast("Any", engine), reference, **more)


def stopped(watch: Sentinel) -> tuple[Kept, ...]:
    return cast("tuple[Kept, ...]", watch.stop())


def test_each_answer_asks_for_the_next_until_it_is_stopped(reference: Reference) -> None:
    engine = Engine()
    watch = sentinel(engine, reference, streams=3)
    watch.start()
    starts = [ticket.scheduled_ns for ticket in engine.tickets]
    assert len(starts) == 3
    assert starts == sorted(set(starts))
    engine.tickets[0].end()
    assert len(engine.tickets) == 4
    assert len(set(engine.urls)) == 4
    assert [kept.number for kept in stopped(watch)] == [0]
    assert [ticket.cancelled for ticket in engine.tickets] == [False, True, True, True]
    engine.tickets[1].end()
    assert len(engine.tickets) == 4


def test_a_long_load_keeps_few_answers_spread_over_all_of_it(reference: Reference) -> None:
    engine = Engine()
    watch = sentinel(engine, reference, streams=1, most_kept=16)
    watch.start()
    for number in range(40):
        engine.tickets[number].end()
    kept = [one.number for one in stopped(watch)]
    assert 8 <= len(kept) < 16
    assert kept[0] == 0
    assert kept[-1] >= 38
    assert engine.tickets[-1].scheduled_ns - time.monotonic_ns() > reference.answer_s() * 1e9


def test_an_engine_that_takes_no_more_is_told(reference: Reference) -> None:
    engine = Engine()
    watch = sentinel(engine, reference, streams=1)
    watch.start()
    engine.closed = True
    engine.tickets[0].end()
    assert watch.failure == "the engine has stopped"
    assert len(watch.stop()) == 1


def test_the_reads_that_are_kept_are_copies_of_their_own_size(reference: Reference) -> None:
    engine = Engine()
    watch = sentinel(engine, reference, streams=1)
    watch.start()
    pieces = list(engine.tickets[0].recorded.tape.pieces)
    engine.tickets[0].end()
    (kept,) = stopped(watch)
    assert kept.tape.pieces == pieces
    assert not {id(piece) for piece in kept.tape.pieces} & {id(piece) for piece in pieces}
