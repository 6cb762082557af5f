"""One exchange of the engine while it is under way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness.wire import stamps
from harness.wire.engine.recorded import Recorded, Tape
from harness.wire.exchange import End

if TYPE_CHECKING:
    from harness.wire.engine.ticket import Ticket

_now = time.monotonic_ns


class Flight:
    """A ticket that has started, with the tape of what comes back."""

    __slots__ = ("limit", "number", "recorded", "tape", "ticket", "unsent")

    def __init__(self, ticket: Ticket, number: int, limit: int) -> None:
        self.ticket = ticket
        self.number = number
        self.limit = limit
        """Bytes of the answer that are kept at most."""
        self.unsent: OSError | None = None
        self.tape = Tape()
        self.recorded = Recorded(
            id=ticket.id,
            request=ticket.request,
            labels=ticket.labels,
            scheduled_ns=ticket.scheduled_ns,
            submitted_ns=ticket.submitted_ns,
            started_ns=_now(),
            end=End.UNREACHABLE,
            tape=self.tape,
            offsets_ns=(stamps.offset_ns(), 0),
        )

    def finish(self, end: End, detail: str) -> Recorded:
        """Say how it ended."""
        recorded = self.recorded
        recorded.ended_ns = _now()
        recorded.end, recorded.detail = end, detail
        recorded.offsets_ns = (recorded.offsets_ns[0], stamps.offset_ns())
        return recorded
