from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.load.locusts.ahead import MOST, Ahead
from harness.load.locusts.orders import Orders
from harness.load.profiles import Ask, Plan, Setting, Target
from harness.load.workload.arrival import steady

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS = Orders(
    profile="p",
    setting=Setting(targets=(Target(name="chat", context=4096, providers=("vllm",)),)),
    base_url="http://127.0.0.1:1/v1",
    key="sk-1",
    timeout_s=1.0,
)


def plan(asked: Callable[[int], None] = lambda _: None, *, turns: int = 1) -> Plan:
    def ask(number: int) -> Ask:
        asked(number)
        return Ask(model="chat", messages=(("user", str(number)),), max_tokens=1)

    return Plan(stages=steady(1, 1.0), ask=ask, turns=turns)


@pytest.mark.parametrize("turns", [1, 3])
def test_processes_together_play_every_number_once_and_conversations_whole(turns: int) -> None:
    parts = [Ahead(plan(turns=turns), ORDERS.share(index, 2)) for index in range(2)]
    told = [[turn.number for turn in part.next()] for _ in range(20) for part in parts]
    assert all(len(one) == turns for one in told)
    assert [number for one in told for number in one] == list(range(40 * turns))


def test_a_request_is_that_of_its_number() -> None:
    turn = Ahead(plan(), ORDERS).turn(7)
    assert turn.request == turn.ask.request(ORDERS.base_url, key="sk-1")
    assert turn.ask.messages == (("user", "7"),)


def test_only_what_was_made_is_ready_and_nothing_is_made_twice() -> None:
    made: list[int] = []
    ahead = Ahead(plan(made.append), ORDERS)
    assert ahead.ready() is None
    assert ahead.next()[0].number == 0
    rest = []
    while (found := ahead.ready()) is not None:
        rest.append(found[0].number)
    assert len(rest) < MOST
    assert [0, *rest] == made == list(range(len(made)))


def test_it_makes_more_where_more_was_asked() -> None:
    ahead = Ahead(plan(), ORDERS)
    for _ in range(50):
        ahead.next()
    for _ in range(1000):  # each time for a moment only
        ahead.make(MOST + 100)
    ready = 0
    while ahead.ready() is not None:
        ready += 1
    assert ready == MOST + 100
