"""From the engine's native thread back to the greenlet that waits."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import gevent
from gevent.hub import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.wire.engine import Recorded, Ticket


class Mailbox:
    """Wakes greenlets for tickets that ended, all of them through one watcher of the event loop.

    `Ticket.wait` does so too, with a descriptor of its own for each wait; here a wait costs an
    entry in a queue.
    """

    def __init__(self) -> None:
        self._ended: deque[tuple[Callable[[Ticket], object], Ticket]] = deque()
        self._watcher: Any = gevent.get_hub().loop.async_()
        self._watcher.start(self._deliver)

    def wait(self, ticket: Ticket) -> Recorded:
        """Suspend this greenlet alone until ``ticket`` has ended."""
        waiter: Any = Waiter()
        self.call(ticket, waiter.switch)
        ended: Ticket = waiter.get()
        if ended.recorded is None:
            raise RuntimeError("a ticket was called over before it was settled")
        return ended.recorded

    def call(self, ticket: Ticket, then: Callable[[Ticket], object]) -> None:
        """Have ``then`` called in the event loop once ``ticket`` has ended; it must not wait."""
        ticket.add_done_callback(partial(self._post, then))

    def close(self) -> None:
        """Free the watcher."""
        self._watcher.stop()
        self._watcher.close()

    def _post(self, then: Callable[[Ticket], object], ticket: Ticket) -> None:
        self._ended.append((then, ticket))
        self._watcher.send()  # the one method of gevent that another thread may call

    def _deliver(self) -> None:
        while self._ended:
            then, ticket = self._ended.popleft()
            then(ticket)
