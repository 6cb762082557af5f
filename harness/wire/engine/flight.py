"""One exchange of the engine while it is under way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness.wire import stamps
from harness.wire.engine.recorded import KEPT_A_READ, Recorded, Tape
from harness.wire.exchange import End

if TYPE_CHECKING:
    from harness.wire.engine.ticket import Ticket

_now = time.monotonic_ns
_LASTS_NS = 2_000_000
_known: tuple[int, int] = (0, 0)


def _offset_ns(now: int) -> int:
    """CLOCK_MONOTONIC minus CLOCK_REALTIME as of ``now``, or a little before.

    Clocks are slewed by at most a two-thousandth (adjtimex(2)): in 2 ms by a microsecond.
    """
    global _known  # noqa: PLW0603 - what is known of two clocks that the machine has once
    measured_ns, offset_ns = _known
    if not 0 <= now - measured_ns < _LASTS_NS:
        offset_ns = stamps.offset_ns()
        _known = now, offset_ns
    return offset_ns


class Flight:
    """A ticket that has started, with what has come back so far."""

    __slots__ = (
        "_counted",
        "_size",
        "connected_ns",
        "kept",
        "limit",
        "number",
        "offset_ns",
        "sent_ns",
        "started_ns",
        "ticket",
        "unsent",
        "use",
    )

    def __init__(self, ticket: Ticket, number: int, limit: int) -> None:
        self.ticket = ticket
        ticket.flight = self
        self.number = number
        self.limit = limit
        """Bytes of the answer that are kept at most."""
        self.unsent: OSError | None = None
        self.kept: list[bytes | int] = []
        """Of each read its bytes, CLOCK_MONOTONIC after it, and the kernel's stamp of its arrival;
        all in one list, because with a thousand streams a read finds nothing of its stream in the
        processor's cache, and each list is a wait for memory."""
        self._counted = self._size = 0
        self.started_ns = _now()
        self.connected_ns: int | None = None
        self.sent_ns: int | None = None
        self.use = 1
        self.offset_ns: int | None = _offset_ns(self.started_ns)
        """CLOCK_MONOTONIC minus CLOCK_REALTIME at its start; None where nothing is stamped."""

    @property
    def size(self) -> int:
        """Bytes received so far."""
        kept, counted = self.kept, self._counted
        if counted < len(kept):
            self._size += sum(map(len, kept[counted::KEPT_A_READ]))  # type: ignore[arg-type]
            self._counted = len(kept)
        return self._size

    def so_far(self) -> Recorded:
        """What it would be if it were given up now; from any thread."""
        recorded = self.finish(End.CANCELLED, "")
        recorded.tape = Tape(self.kept[:])
        return recorded

    def finish(self, end: End, detail: str) -> Recorded:
        """Say how it ended."""
        ticket, ended_ns = self.ticket, _now()
        return Recorded(
            id=ticket.id,
            request=ticket.request,
            labels=ticket.labels,
            scheduled_ns=ticket.scheduled_ns,
            submitted_ns=ticket.submitted_ns or self.started_ns,
            started_ns=self.started_ns,
            connected_ns=self.connected_ns,
            sent_ns=self.sent_ns,
            ended_ns=ended_ns,
            end=end,
            detail=detail,
            use=self.use,
            tape=Tape(self.kept),
            offsets_ns=(self.offset_ns, _offset_ns(ended_ns)),
        )
