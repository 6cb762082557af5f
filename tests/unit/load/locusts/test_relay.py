from __future__ import annotations

import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import gevent
import pytest

from harness.load.locusts.ahead import Turn
from harness.load.locusts.mailbox import Mailbox
from harness.load.locusts.relay import Relay
from harness.load.profiles import Ask
from harness.wire import End, Request, WireError
from harness.wire.engine import Recorded, Ticket
from harness.wire.engine.recorded import UNSTAMPED, Tape
from harness.wire.http1 import endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = "http://127.0.0.1:1/v1"
ASK = Ask(model="m", messages=(("user", "hello"),), max_tokens=1)


class Engine:
    """Takes requests, and answers when it is told to, in a thread of its own."""

    def __init__(self) -> None:
        self.asked: deque[tuple[int, Ticket]] = deque()
        self.numbers: list[int] = []
        self.refuses = False

    def submit(self, turn: Turn, due_ns: int | None) -> Ticket:
        if self.refuses:
            raise WireError("full")
        ticket = Ticket(
            turn.request,
            payload=b"",
            where=endpoint(URL),
            id=str(turn.number),
            labels={},
            scheduled_ns=due_ns,
            timeout_s=1.0,
            give_up=lambda ticket: self.settle(ticket, End.CANCELLED),
        )
        self.numbers.append(turn.number)
        self.asked.append((turn.number, ticket))
        return ticket

    def settle(self, ticket: Ticket, end: End = End.KEPT, status: bytes = b"200") -> None:
        kept: list[bytes | int] = []
        if end is End.KEPT:
            kept += b"HTTP/1.1 %b OK\r\n\r\n" % status, 3, UNSTAMPED
        ticket.settle(
            Recorded(
                id=ticket.id,
                request=ticket.request,
                labels={},
                scheduled_ns=None,
                submitted_ns=1,
                started_ns=2,
                end=end,
                tape=Tape(kept),
            )
        )

    def answer(self, status: bytes = b"200") -> None:
        """End the oldest request in another thread, as the engine does."""
        _, ticket = self.asked.popleft()
        thread = threading.Thread(target=self.settle, args=(ticket, End.KEPT, status))
        thread.start()
        thread.join()


class Played:
    """A relay over such an engine, and what came of it."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.engine = Engine()
        self.landed: list[tuple[int, End]] = []
        self.asked_before: list[int] = []
        self.trouble: Exception | None = None
        self.relay = Relay(self.engine.submit, self._land, mailbox.post, lambda: 1.0)
        self.turns = (turn(number) for number in range(1000))

    def _land(self, recorded: Recorded, turn: Turn, at_s: float) -> None:
        assert at_s == 1.0
        self.landed.append((turn.number, recorded.end))
        self.asked_before.append(len(self.engine.numbers))
        if self.trouble is not None:
            raise self.trouble

    def user(self, asks: int) -> Any:
        """A greenlet that asks so often."""
        rest = [next(self.turns) for _ in range(asks)]

        def follows() -> Turn | None:
            return rest.pop(0) if rest else None

        user = gevent.spawn(self.relay.play, rest.pop(0), follows)
        gevent.sleep(0)
        return user


def turn(number: int) -> Turn:
    return Turn(number, ASK, Request(method="POST", url=URL))


@pytest.fixture
def played() -> Iterator[Played]:
    mailbox = Mailbox()
    yield Played(mailbox)
    mailbox.close()


def test_requests_follow_without_waking_the_user_who_gets_the_last(played: Played) -> None:
    user = played.user(asks=3)
    for asked in (1, 2):
        assert played.engine.numbers == list(range(asked))
        played.engine.answer()
        assert not user.ready()
        assert played.relay.under_way == 1
    played.engine.answer()
    assert user.get(timeout=10).id == "2"
    assert played.landed == [(number, End.KEPT) for number in range(3)]
    assert played.relay.wait(10.0)


def test_what_follows_does_not_wait_for_what_came_before_to_be_dealt_with(played: Played) -> None:
    played.user(asks=3)
    for _ in range(3):
        played.engine.answer()
    assert played.asked_before == [2, 3, 3]


def test_a_recording_that_cannot_be_dealt_with_holds_nobody_up(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "excepthook", lambda *raised: told.append(raised[1]))
    played.trouble = ValueError("cannot be packed")
    user = played.user(asks=2)
    for _ in range(2):
        played.engine.answer()
    assert user.get(timeout=10).id == "1"
    assert played.relay.wait(10.0)
    assert told == [played.trouble] * 2


def test_nothing_follows_an_answer_that_was_none(played: Played) -> None:
    user = played.user(asks=3)
    played.engine.answer(status=b"503")
    assert user.get(timeout=10).id == "0"
    assert played.engine.numbers == [0]
    assert len(played.landed) == 1


def test_users_do_not_disturb_each_other(played: Played) -> None:
    users = [played.user(asks=2) for _ in range(5)]
    for _ in range(10):
        played.engine.answer()
    gevent.joinall(users, timeout=10, raise_error=True)
    assert sorted(number for number, _ in played.landed) == list(range(10))


def test_at_its_end_nothing_follows_and_what_was_given_up_is_no_row(played: Played) -> None:
    one, other = played.user(asks=9), played.user(asks=9)
    played.relay.end()
    played.engine.answer()
    assert one.get(timeout=10).end is End.KEPT
    played.relay.give_up()
    assert played.relay.given_up == 1
    assert other.get(timeout=10).end is End.CANCELLED
    assert played.landed == [(0, End.KEPT)]
    assert played.engine.numbers == [0, 9]
    assert played.relay.wait(10.0)


def test_a_user_that_is_killed_gives_its_request_up(played: Played) -> None:
    user = played.user(asks=9)
    user.kill()
    assert played.landed == []
    assert played.relay.given_up == 1
    assert played.relay.wait(10.0)
    assert played.engine.numbers == [0]


def test_a_request_that_is_not_taken_ends_its_user(played: Played) -> None:
    user = played.user(asks=2)
    played.engine.refuses = True
    played.engine.answer()
    with pytest.raises(WireError, match="full"):
        user.get(timeout=10)
    assert len(played.landed) == 1
    with pytest.raises(WireError, match="full"):
        played.relay.play(turn(5), lambda: None)


def test_a_schedule_is_asked_whatever_was_answered(played: Played) -> None:
    for number in range(3):
        played.relay.schedule(turn(number), 10, 1.0)
    assert played.relay.under_way == 3
    assert not played.relay.wait(0.01)
    for _ in range(3):
        played.engine.answer()
    assert played.relay.wait(10.0)
    assert len(played.landed) == 3
