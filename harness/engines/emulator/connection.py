"""One client connection: a plain socket, so that the ledger knows what the kernel took and when.

A transport would buffer what the kernel did not take, and drop it when the client goes away:
bytes nobody can account for.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from array import array
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Protocol

from harness.engines import ledger
from harness.engines.emulator.http import CONTINUE, BadRequestError, Request, RequestReader

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from harness.engines.emulator.play import Metronome, Play
    from harness.engines.ledger import Ending

_READ = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on with no time: close() discards and sends RST (socket(7))."""


_OTHER = -1
"""A write that is none of those planned: a head, or what the kernel took of one."""


class Record:
    """A ledger entry being written; see `ledger.LedgerEntry` for its fields."""

    __slots__ = ("_others", "_which", "at_ns", "facts", "planned", "size")

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        self.at_ns = array("q")
        self.planned: Sequence[bytes] = ()
        """What the answer was to be, so that what went out as planned is not kept twice."""
        self.size = 0
        """Bytes written."""
        self._which = array("i")
        self._others: list[bytes] = []

    def wrote(self, at_ns: int, data: bytes, number: int = _OTHER) -> None:
        """One write the kernel took; ``number`` if it was all of that one of `planned`."""
        self.at_ns.append(at_ns)
        self.size += len(data)
        if number == _OTHER:
            self._others.append(data)
        self._which.append(number)

    @property
    def chunks(self) -> list[bytes]:
        """The bytes of each write."""
        others = iter(self._others)
        return [next(others) if k == _OTHER else self.planned[k] for k in self._which]

    def to_wire(self) -> dict[str, Any]:
        """As `ledger.LedgerEntry.from_wire` reads it."""
        return {**self.facts, **ledger.pack(self.at_ns, self.chunks)}


class Host(Protocol):
    """The server a connection belongs to."""

    loop: asyncio.AbstractEventLoop
    metronome: Metronome

    def answer(self, connection: Connection, request: Request) -> None:
        """Begin to answer; ends with `Connection.play` or with silence."""
        ...

    def refuse(self, connection: Connection, error: BadRequestError) -> None:
        """Answer what is no request, and close."""
        ...

    def closed(self, connection: Connection) -> None:
        """The connection is gone."""
        ...

    def recorded(self, record: Record) -> None:
        """An answer has ended, well or not."""
        ...


class Connection:
    """Reads requests, one at a time, and sends their answers. A `play.Sink`."""

    __slots__ = (
        "_host",
        "_keep_alive",
        "_play",
        "_prelude",
        "_reader",
        "_reading",
        "_record",
        "_socket",
        "_undo",
        "_unsent",
        "ending",
        "number",
        "peer_port",
    )

    def __init__(self, host: Host, connected: socket.socket, number: int) -> None:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host, self._socket, self.number = host, connected, number
        self.peer_port: int = connected.getpeername()[1]
        self.ending: Ending = "whole"
        self._reader = RequestReader()
        self._unsent = b""
        self._play: Play | None = None
        self._record: Record | None = None
        self._undo: Callable[[], None] | None = None
        self._keep_alive = True
        self._reading = False
        self._prelude: list[tuple[int, bytes]] = []
        host.loop.add_reader(connected.fileno(), self._readable)

    @property
    def busy(self) -> bool:
        """An answer is being sent, or withheld."""
        return self._record is not None

    @property
    def blocked(self) -> bool:
        """Bytes wait for the kernel."""
        return bool(self._unsent)

    def open_record(self, record: Record, *, keep_alive: bool) -> None:
        """From here on an answer is owed, and every byte of it is written down."""
        self._record, self._keep_alive = record, keep_alive
        self.ending = "whole"
        for at_ns, data in self._prelude:
            record.wrote(at_ns, data)
        self._prelude.clear()

    def play(self, play: Play, undo: Callable[[], None] | None = None) -> None:
        """Let ``play`` send the answer; ``undo`` is called when it is over, however it ends."""
        self._play, self._undo = play, undo

    def close_when_done(self) -> None:
        """The end of the connection is the end of the answer (HTTP/1.0)."""
        self._keep_alive = False

    def write(self, data: bytes, number: int = _OTHER) -> None:
        """Hand ``data`` to the kernel; what it does not take follows as soon as it does.

        ``number`` is its place in `Record.planned`.
        """
        try:
            taken = self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            taken = 0
        except OSError:
            self.lost()
            return
        if taken:
            whole = taken == len(data)
            sent = data if whole else data[:taken]
            if self._record is not None:
                self._record.wrote(monotonic_ns(), sent, number if whole else _OTHER)
            else:  # "100 Continue" precedes the entry of its request
                self._prelude.append((monotonic_ns(), sent))
        if taken < len(data):
            if not self._unsent:
                self._host.loop.add_writer(self._socket.fileno(), self._writable)
            self._unsent = data[taken:]

    def finish(self) -> None:
        """The answer was sent as far as it was to be: close as it says, or read on."""
        ending, keep_alive = self.ending, self._keep_alive
        self._end_answer(ending)
        if ending == "whole" and keep_alive:
            self._answer_next()
        else:
            self._close(reset=ending == "rst")

    def lost(self) -> None:
        """The client went away."""
        self._end_answer("client")
        self._close(reset=False)

    def abort(self) -> None:
        """The engine goes down: reset, whatever was under way."""
        self._end_answer("down")
        self._close(reset=True)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.lost()
            return
        self._reader.feed(data)
        self._answer_next()

    def _answer_next(self) -> None:
        if self._reading:  # an answer sent at once ends inside the loop below, which goes on
            return
        self._reading = True
        try:
            while self._record is None and self._socket.fileno() != -1:
                request = self._reader.next()
                if request is None:
                    if self._reader.wants_continue:
                        self.write(CONTINUE)
                        self._reader.continued()
                    return
                self._host.answer(self, request)
        except BadRequestError as error:
            self._host.refuse(self, error)
        finally:
            self._reading = False

    def _writable(self) -> None:
        self._host.loop.remove_writer(self._socket.fileno())
        data, self._unsent = self._unsent, b""
        self.write(data)
        if not self._unsent and self._play is not None and self._play.stalled:
            self._host.metronome.at(monotonic_ns(), self._play)

    def _end_answer(self, ending: Ending) -> None:
        play, record, undo = self._play, self._record, self._undo
        self._play = self._record = self._undo = None
        if play is not None:
            play.cancelled = True
        if record is not None:
            record.facts.update(ended_ns=monotonic_ns(), ending=ending)
            self._host.recorded(record)
        if undo is not None:
            undo()

    def _close(self, *, reset: bool) -> None:
        descriptor = self._socket.fileno()
        if descriptor == -1:
            return
        self._host.loop.remove_reader(descriptor)
        self._host.loop.remove_writer(descriptor)
        if reset:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._socket.close()
        self._unsent = b""
        self._host.closed(self)
