"""The handle on a request in the hands of the engine: wait for it, await it, give it up."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from harness.wire.engine.natives import Bell, lock

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from harness.wire.engine.flight import Flight
    from harness.wire.engine.recorded import Recorded
    from harness.wire.exchange import Request
    from harness.wire.http1 import Endpoint


UNNUMBERED = -1


class Ticket:
    """A request that was handed over; safe to use from any thread, greenlet or event loop.

    ``ticket.wait()`` blocks the calling thread, or under gevent the calling greenlet alone.
    ``await ticket`` suspends the task; cancelling the task gives the request up.
    """

    __slots__ = (
        "_callbacks",
        "_give_up",
        "_lock",
        "_recorded",
        "flight",
        "id",
        "labels",
        "number",
        "payload",
        "request",
        "scheduled_ns",
        "submitted_ns",
        "timeout_s",
        "where",
    )

    def __init__(
        self,
        request: Request,
        *,
        payload: bytes,
        where: Endpoint,
        id: str,  # noqa: A002 - the field of Exchange it becomes
        labels: dict[str, str],
        scheduled_ns: int | None,
        timeout_s: float,
        give_up: Callable[[Ticket], None],
    ) -> None:
        self.number = UNNUMBERED
        """Its place among the exchanges of the engine, once it has started."""
        self.flight: Flight | None = None
        """Itself under way, once it has started; the engine's to write."""
        self.request = request
        self.payload = payload
        self.where = where
        self.id = id
        self.labels = labels
        self.scheduled_ns = scheduled_ns
        self.submitted_ns = 0
        """When it was handed over; 0 until then."""
        self.timeout_s = timeout_s
        self._give_up = give_up
        self._lock = lock()
        self._recorded: Recorded | None = None
        self._callbacks: list[Callable[[Ticket], object]] = []

    @property
    def due_ns(self) -> int:
        """When it should start: as scheduled, or else when it was handed over."""
        return self.submitted_ns if self.scheduled_ns is None else self.scheduled_ns

    @property
    def recorded(self) -> Recorded | None:
        """What was recorded, or None while it is under way."""
        return self._recorded

    def so_far(self) -> Recorded | None:
        """What is recorded of it until now; None before it has started. From any thread."""
        flight = self.flight
        if self._recorded is not None or flight is None:
            return self._recorded
        return flight.so_far()

    def wait(self, timeout_s: float | None = None) -> Recorded:
        """Wait until it has ended, however it ended.

        Raises:
            TimeoutError: not within ``timeout_s``; the request goes on.
        """
        if self._recorded is None:
            bell = Bell()

            def ring(_: Ticket) -> None:
                bell.ring()

            try:
                self.add_done_callback(ring)
                bell.wait(timeout_s)
            finally:
                self._forget(ring)
                bell.close()
        if self._recorded is None:
            raise TimeoutError(f"no end of the exchange within {timeout_s:g} s; it goes on")
        return self._recorded

    def __await__(self) -> Generator[object, None, Recorded]:
        return self._result().__await__()

    def cancel(self) -> None:
        """Give the request up: it ends as ``End.CANCELLED`` with what had arrived until then."""
        self._give_up(self)

    def add_done_callback(self, call: Callable[[Ticket], object]) -> None:
        """Call ``call`` once it has ended, or now if it has.

        It runs in the thread of the engine, between two reads: let it be over within microseconds.
        What it raises goes to ``sys.excepthook`` and to nobody else.
        """
        with self._lock:
            if self._recorded is None:
                self._callbacks.append(call)
                return
        self._tell(call)

    def settle(self, recorded: Recorded) -> None:
        """Say how it ended; the engine's part. Only the first one counts."""
        with self._lock:
            if self._recorded is not None:
                return
            self._recorded = recorded
            self.flight = None
            callbacks, self._callbacks = self._callbacks, []
        for call in callbacks:
            self._tell(call)

    def _tell(self, call: Callable[[Ticket], object]) -> None:
        try:
            call(self)
        except Exception:  # noqa: BLE001 - the caller's bug must not end the engine's thread
            sys.excepthook(*sys.exc_info())

    def _forget(self, call: Callable[[Ticket], object]) -> None:
        with self._lock, suppress(ValueError):
            self._callbacks.remove(call)

    async def _result(self) -> Recorded:
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not over.done():
                over.set_result(None)

        def ring(_: Ticket) -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(tell)

        self.add_done_callback(ring)
        try:
            await over
        except asyncio.CancelledError:
            self._forget(ring)
            self.cancel()
            raise
        if self._recorded is None:
            raise RuntimeError("a ticket was called over before it was settled")
        return self._recorded
