"""What the users of one process will ask, made a little before they do."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from harness.load.locusts.orders import Orders
    from harness.load.profiles import Ask, Plan
    from harness.wire import Request

MOST = 16
"""Conversations that are made at once where none is ready."""
_MOST_KEPT = 1024
_LONGEST_S = 0.002
"""They are made for so long at once, unless one alone takes longer: everybody waits meanwhile."""


class Turn(NamedTuple):
    """One request of a conversation."""

    number: int
    ask: Ask
    request: Request


class Ahead:
    """Makes conversations in the order of their numbers, several at a time.

    A user that comes back finds the processor's caches full of what the engine did. To make one
    request then takes several times as long as to make it after another.
    """

    def __init__(self, plan: Plan, orders: Orders) -> None:
        self._plan, self._orders = plan, orders
        self._made: deque[tuple[Turn, ...]] = deque()
        self._conversations = self._wanted = 0

    def ready(self) -> tuple[Turn, ...] | None:
        """The next conversation that nobody has begun, if it is made already; from any thread."""
        self._wanted += 1
        try:
            return self._made.popleft()
        except IndexError:
            return None

    def next(self) -> tuple[Turn, ...]:
        """The next conversation, made now if need be."""
        found = self.ready()
        while found is None:
            self.make(MOST)
            found = self.ready()
        return found

    def keep_up(self) -> None:
        """Make what will be asked until this is called again, if that is as much as since last."""
        wanted, self._wanted = self._wanted, 0
        self.make(min(_MOST_KEPT, MOST + 2 * wanted))

    def make(self, ready: int) -> None:
        """Make conversations until so many are ready, or a moment has passed."""
        until = time.perf_counter() + _LONGEST_S
        while len(self._made) < ready:
            self._made.append(self._conversation())
            if time.perf_counter() >= until:
                return

    def _conversation(self) -> tuple[Turn, ...]:
        orders, turns = self._orders, self._plan.turns
        first = orders.first + (self._conversations * orders.of + orders.index) * turns
        self._conversations += 1
        return tuple(self.turn(number) for number in range(first, first + turns))

    def turn(self, number: int) -> Turn:
        """The request of that number."""
        ask = self._plan.ask(number)
        return Turn(number, ask, ask.request(self._orders.base_url, key=self._orders.key))
