from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.load.locusts.ahead import MOST, Ahead, Asking
from harness.load.locusts.orders import Orders
from harness.load.profiles import Ask, Plan, Setting, Target
from harness.load.workload.arrival import steady
from harness.wire import WireError
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS = Orders(
    profile="p",
    setting=Setting(targets=(Target(name="chat", context=4096, providers=("vllm",)),)),
    base_url="http://127.0.0.1:1/v1",
    key="sk-1",
    timeout_s=1.0,
)
PREPARE = LoadEngine().prepare


def plan(
    asked: Callable[[int], None] = lambda _: None, *, turns: int = 1, think_s: float = 0.0
) -> Plan:
    def ask(number: int) -> Ask:
        asked(number)
        messages = (("user", str(number)),)
        thought = think_s if number % turns else 0.0
        return Ask(model="chat", messages=messages, max_tokens=1, think_s=thought)

    return Plan(stages=steady(1, 1.0), ask=ask, turns=turns)


@pytest.mark.parametrize("turns", [1, 3])
def test_processes_together_play_every_number_once_and_conversations_whole(turns: int) -> None:
    parts = [Ahead(plan(turns=turns), ORDERS.share(index, 2), PREPARE) for index in range(2)]
    told = [[turn.number for turn in part.next()] for _ in range(20) for part in parts]
    assert all(len(one) == turns for one in told)
    assert [number for one in told for number in one] == list(range(40 * turns))


def test_a_request_is_that_of_its_number() -> None:
    turn = Ahead(plan(), ORDERS, PREPARE).turn(7)
    assert turn.request == turn.ask.request(ORDERS.base_url, key="sk-1")
    assert turn.ask.messages == (("user", "7"),)
    assert turn.ticket is not None
    assert turn.ticket.request is turn.request


def test_a_request_that_cannot_be_sent_is_refused_when_it_is_asked_not_before() -> None:
    turn = Ahead(plan(), replace(ORDERS, base_url="ftp://nowhere/v1"), PREPARE).turn(7)
    assert turn.ticket is None
    with LoadEngine() as engine, pytest.raises(WireError, match="ftp"):
        engine.submit(turn.request)


def test_only_what_was_made_is_ready_and_nothing_is_made_twice() -> None:
    made: list[int] = []
    ahead = Ahead(plan(made.append), ORDERS, PREPARE)
    assert ahead.ready() is None
    assert ahead.next()[0].number == 0
    rest = []
    while (found := ahead.ready()) is not None:
        rest.append(found[0].number)
    assert len(rest) < MOST
    assert [0, *rest] == made == list(range(len(made)))


def test_it_makes_more_where_more_was_asked() -> None:
    ahead = Ahead(plan(), ORDERS, PREPARE)
    for _ in range(50):
        ahead.next()
    for _ in range(1000):  # each time for a moment only
        ahead.make(MOST + 100)
    ready = 0
    while ahead.ready() is not None:
        ready += 1
    assert ready == MOST + 100


def asked(
    *, turns: int, think_s: float = 0.0, hold: bool = False, stopping: bool = False
) -> list[int]:
    """The numbers one user asks without being woken, from the first that it begins with."""
    ahead = Ahead(plan(turns=turns, think_s=think_s), ORDERS, PREPARE)
    ahead.make(2)
    asking = Asking(ahead, hold=lambda: hold, stopping=lambda: stopping)
    asking.begin()
    first = asking.next()
    assert first is not None
    found = [first.number]
    while (turn := asking.at_once()) is not None:
        found.append(turn.number)
    return found


@pytest.mark.parametrize("turns", [1, 3])
def test_turns_and_conversations_follow_at_once_as_far_as_they_are_made(turns: int) -> None:
    assert asked(turns=turns) == list(range(2 * turns))


def test_who_is_to_think_or_to_wait_is_woken_and_who_stops_ends_its_conversation() -> None:
    assert asked(turns=3, think_s=0.1) == [0]
    assert asked(turns=3, hold=True) == [0]
    assert asked(turns=3, stopping=True) == [0, 1, 2]


def test_a_conversation_goes_on_where_its_user_was_woken() -> None:
    ahead = Ahead(plan(turns=3, think_s=0.1), ORDERS, PREPARE)
    asking = Asking(ahead, hold=lambda: False, stopping=lambda: False)
    asking.begin()
    numbers = []
    while (turn := asking.next()) is not None:
        numbers.append(turn.number)
        assert turn.number == 2 or asking.at_once() is None
    assert numbers == [0, 1, 2]
