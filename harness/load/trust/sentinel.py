"""Reference streams beside a load, on the engine that plays it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness.wire.engine.natives import lock
from harness.wire.http1 import WireError

if TYPE_CHECKING:
    from harness.load.trust.reference import Reference
    from harness.wire.engine import LoadEngine, Recorded, Ticket

STREAMS = 8
TOKENS = 16
MOST_KEPT = 512
_NS = 1_000_000_000
_FIRST = 1_000_000_000


class Sentinel:
    """Keeps a few reference answers under way from `start` to `stop`.

    Each answer asks for the next in the engine's own thread, so that it needs no thread and no
    greenlet. However long the load, at most ``most_kept`` recordings are kept, evenly spread
    over it: when they are that many, every other is dropped and half as many are asked for.
    """

    def __init__(
        self,
        engine: LoadEngine,
        reference: Reference,
        *,
        streams: int = STREAMS,
        most_kept: int = MOST_KEPT,
    ) -> None:
        self._engine, self._reference = engine, reference
        self._streams, self._most = streams, most_kept
        self._tokens = min(TOKENS, reference.tokens)
        self._answer_s = reference.answer_s(self._tokens)
        self._lock = lock()  # a native one: the engine's thread takes it too
        self._under_way: dict[str, Ticket] = {}
        self._kept: list[Recorded] = []
        self._number = _FIRST
        self._pause_s = 0.0
        self._stopped = False
        self.failure = ""
        """Why it asks no more, where that was not `stop`."""

    def start(self) -> None:
        """Ask for the first answers, spread over the time of one."""
        begun, step_s = time.monotonic_ns(), self._answer_s / self._streams
        for stream in range(self._streams):
            self._ask(begun + round(stream * step_s * _NS))

    def stop(self) -> tuple[Recorded, ...]:
        """Ask no more, give up what is under way, and return what ended before."""
        with self._lock:
            self._stopped = True
            under_way = list(self._under_way.values())
        for ticket in under_way:
            ticket.cancel()
        with self._lock:
            return tuple(self._kept)

    def _ask(self, scheduled_ns: int) -> None:
        with self._lock:
            if self._stopped:
                return
            number, self._number = self._number, self._number + 1
        call = self._reference.make(number, tokens=self._tokens)
        try:
            ticket = self._engine.submit(
                call.request, scheduled_ns=scheduled_ns, labels=call.labels
            )
        except WireError as error:  # closed, or its queue is full: the load has the say
            self.failure = str(error)
            return
        with self._lock:
            self._under_way[ticket.id] = ticket
        ticket.add_done_callback(self._ended)

    def _ended(self, ticket: Ticket) -> None:
        with self._lock:
            self._under_way.pop(ticket.id, None)
            if self._stopped or ticket.recorded is None:
                return
            self._kept.append(_compacted(ticket.recorded))
            if len(self._kept) >= self._most:
                del self._kept[1::2]
                self._pause_s = 2 * self._pause_s + self._answer_s
            pause_s = self._pause_s
        self._ask(time.monotonic_ns() + round(pause_s * _NS))


def _compacted(recorded: Recorded) -> Recorded:
    """The same, with its reads where they take little room.

    A read was allocated as large as it might have become. What is left of it after its end is
    given back, but thousands that are kept, in between others that come and go, hold open a hole
    each that is too small for the next: twenty times their own size.
    """
    recorded.tape.pieces[:] = [bytes(memoryview(piece)) for piece in recorded.tape.pieces]
    return recorded
