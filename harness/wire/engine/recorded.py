"""What the engine hands back: an exchange, and when it should have happened."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from harness.wire import stamps
from harness.wire.engine.natives import lock
from harness.wire.exchange import Clock, End, Exchange, Read, Request

if TYPE_CHECKING:
    from collections.abc import Sequence

UNSTAMPED = bytes(stamps.STAMP_BYTES)
KEPT_A_READ = 3
"""Of each read its bytes, its moment and its stamp are kept, one after the other."""
_sorting = lock()


class Tape:
    """The raw reads of one exchange: nothing here is tracked by the garbage collector."""

    __slots__ = ("arrived", "kept", "pieces", "seen", "size")

    pieces: list[bytes]
    seen: array[int]
    """CLOCK_MONOTONIC after each read returned."""
    arrived: bytearray
    """For each read the kernel's ``struct timespec`` of its arrival, or `UNSTAMPED`."""
    size: int
    """Bytes of all reads together."""

    def __init__(self, kept: Sequence[Any] = ()) -> None:
        """Make it of what was kept during an exchange: of each read bytes, moment and stamp.

        They are sorted when one of them is first asked for: after the load, as all that can be.
        What is there of one read while another thread still adds the rest of it is left out.
        """
        self.kept: Sequence[Any] | None = kept

    @classmethod
    def of(cls, pieces: list[bytes], seen: array[int], arrived: bytearray) -> Self:
        """Make it of reads that are sorted already."""
        tape = cls()
        tape.pieces, tape.seen, tape.arrived = pieces, seen, arrived
        tape.size, tape.kept = sum(map(len, pieces)), None
        return tape

    def __getattr__(self, name: str) -> object:
        """Sort what was kept: called only where ``name`` is not there yet."""
        if name not in Tape.__slots__:
            raise AttributeError(f"a tape has no {name!r}")
        with _sorting:
            if (kept := self.kept) is not None:
                whole = _whole(kept)
                self.pieces = list(whole[0::KEPT_A_READ])
                self.seen = array("q", whole[1::KEPT_A_READ])
                self.arrived = bytearray().join(whole[2::KEPT_A_READ])
                self.size = sum(map(len, self.pieces))
                self.kept = None
        return object.__getattribute__(self, name)

    def flat(self) -> Sequence[Any]:
        """Return what `__init__` takes, without sorting it if it is not sorted yet."""
        if (kept := self.kept) is not None:
            return _whole(kept)
        size = stamps.STAMP_BYTES
        stamped = (bytes(self.arrived[at : at + size]) for at in range(0, len(self.arrived), size))
        return [part for read in zip(self.pieces, self.seen, stamped, strict=True) for part in read]


def _whole(kept: Sequence[Any]) -> Sequence[Any]:
    over = len(kept) % KEPT_A_READ
    return kept[:-over] if over else kept


@dataclass(slots=True, kw_only=True)
class Recorded:
    """One exchange of the engine. All ``*_ns`` are CLOCK_MONOTONIC nanoseconds.

    ``exchange`` is made from the raw reads when it is first asked for, in the thread that asks:
    leave it until the load is over. ``use`` counts the exchanges of the connection, this one
    included: 1 means that it was opened for this one. An exchange on a connection used before
    was ``connected`` when it ``started``.
    """

    id: str
    request: Request
    labels: dict[str, str]
    scheduled_ns: int | None
    """When it was to start; None if as soon as possible."""
    submitted_ns: int
    started_ns: int
    connected_ns: int | None = None
    sent_ns: int | None = None
    ended_ns: int = 0
    end: End
    detail: str = ""
    use: int = 1
    tape: Tape = field(repr=False)
    offsets_ns: tuple[int | None, int] = field(default=(None, 0), repr=False)
    _exchange: Exchange | None = field(default=None, init=False, repr=False)

    @property
    def due_ns(self) -> int:
        """When it should have started: as scheduled, or else when it was handed over."""
        return self.submitted_ns if self.scheduled_ns is None else self.scheduled_ns

    @property
    def dispatch_lag_ns(self) -> int:
        """How much later than due the client started it.

        It is the client's own delay, of its callers, its loop or its limit on exchanges in
        flight: a latency from the scheduled time counts it, one from the sent time does not.
        """
        return self.started_ns - self.due_ns

    @property
    def reads(self) -> int:
        """How many reads were recorded."""
        return len(self.tape.pieces)

    @property
    def exchange(self) -> Exchange:
        """The exchange, as `harness.wire.RecordingClient` would have recorded it."""
        if self._exchange is None:
            clock, reads = self._settled()
            self._exchange = Exchange(
                id=self.id,
                request=self.request,
                started_ns=self.started_ns,
                connected_ns=self.connected_ns,
                sent_ns=self.sent_ns,
                ended_ns=self.ended_ns,
                reads=reads,
                end=self.end,
                detail=self.detail,
                clock=clock,
                labels=self.labels,
            )
        return self._exchange

    @property
    def receive_lags_ns(self) -> tuple[int, ...]:
        """For each read how long its last byte lay in the kernel; empty without its stamps.

        The direct measure of a saturated client: while it stays far below the gap between
        tokens, few events share a read.
        """
        if self.exchange.clock is not Clock.KERNEL:
            return ()
        return tuple(
            seen - read.at_ns
            for seen, read in zip(self.tape.seen, self.exchange.reads, strict=True)
        )

    def _settled(self) -> tuple[Clock, tuple[Read, ...]]:
        before, after = self.offsets_ns
        return stamps.choose(
            self.tape.pieces,
            seen=self.tape.seen,
            arrived=stamps.unpacked(self.tape.arrived, len(self.tape.pieces)),
            offset_before_ns=before,
            offset_after_ns=after,
            connected_ns=self.connected_ns,
        )
