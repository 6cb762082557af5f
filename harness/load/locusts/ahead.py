"""What the users of one process will ask, made a little before they do."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from harness.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.locusts.orders import Orders
    from harness.load.profiles import Ask, Plan
    from harness.wire import Request
    from harness.wire.engine import Ticket

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
    tokens: int | None = None
    """Of the prompt, by the server's own count, where ``usage`` is to say so."""
    ticket: Ticket | None = None
    """What the engine takes of it; None where it refuses to, as it will say when it is asked."""


class Ahead:
    """Makes conversations in the order of their numbers, several at a time.

    A user that comes back finds the processor's caches full of what the engine did. To make one
    request then takes several times as long as to make it after another. ``prepare`` makes of a
    request what the engine takes (`LoadEngine.prepare`), so that its own thread need not.
    """

    def __init__(self, plan: Plan, orders: Orders, prepare: Callable[[Request], Ticket]) -> None:
        self._plan, self._orders, self._prepare = plan, orders, prepare
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
        ask, orders = self._plan.ask(number), self._orders
        exact = orders.exact.get(ask.model)
        request = ask.request(orders.base_url, key=orders.key, exact=exact)
        said = exact is not None and (exact.told or not ask.stream)
        tokens = exact.tokens(ask) if exact is not None and said else None
        try:
            ticket = self._prepare(request)
        except WireError:
            ticket = None
        return Turn(number, ask, request, tokens, ticket)


class Asking:
    """What one user of a closed loop asks, in its order; no two threads may call it at once.

    Nothing follows at once while ``hold`` says so, and no new conversation once the user is
    ``stopping``.
    """

    def __init__(
        self, ahead: Ahead, *, hold: Callable[[], bool], stopping: Callable[[], bool]
    ) -> None:
        self._ahead, self._hold, self._stopping = ahead, hold, stopping
        self._rest: deque[Turn] = deque()

    def begin(self) -> None:
        """Begin a conversation."""
        self._rest.extend(self._ahead.next())

    def next(self) -> Turn | None:
        """The next turn of a conversation that was begun; None when it is over."""
        return self._rest.popleft() if self._rest else None

    def at_once(self) -> Turn | None:
        """What can be asked the moment an answer has ended; from any thread.

        That is the next turn, or else the first of another conversation. None where there is time
        to think before it, or none is made.
        """
        if self._hold():
            return None
        if not self._rest and not self._stopping():
            self._rest.extend(self._ahead.ready() or ())
        return self.next() if self._rest and not self._rest[0].ask.think_s else None
