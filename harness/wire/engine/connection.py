"""One connection of the engine, and the exchange that is on it."""

from __future__ import annotations

import _socket
import errno
import os
import ssl
import time
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING

from harness.wire import stamps, tls
from harness.wire._shared import READ_BYTES, ending
from harness.wire.engine.channel import Channel
from harness.wire.engine.framing import Framing
from harness.wire.engine.natives import BROKEN, IN, OUT
from harness.wire.engine.recorded import UNSTAMPED
from harness.wire.exchange import End

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.wire.engine.flight import Flight
    from harness.wire.engine.intake import Intake
    from harness.wire.engine.names import Address

_UNDER_WAY = (0, errno.EINPROGRESS)
_now = time.monotonic_ns


class State(Enum):
    """What a connection is doing."""

    CONNECTING = auto()
    SHAKING = auto()
    BUSY = auto()
    IDLE = auto()
    CLOSED = auto()


class Connection:
    """A socket that carries one exchange after another.

    ``over`` is called when the exchange on it has ended: with the flight, its end and a detail.
    After ``End.KEPT`` the connection is idle, after any other end it is closed.
    """

    def __init__(
        self,
        intake: Intake,
        over: Callable[[Connection, Flight, End, str], None],
        *,
        keep: bool,
        trust: ssl.SSLContext | None,
    ) -> None:
        self.state = State.CLOSED
        self.idle_since_ns = 0
        self.uses = 0
        self.flight: Flight | None = None
        self._intake, self._over = intake, over
        self._keep, self._trust = keep, trust
        self._addresses: list[Address] = []
        self._sock: _socket.socket | None = None
        self._mask = 0
        self._unsent = b""
        self._channel: Channel | None = None
        self._framing: Framing | None = None
        self._stamps = False

    @property
    def alive(self) -> bool:
        """Whether it can carry another exchange now."""
        return self.state is State.IDLE

    def open(self, flight: Flight, addresses: Sequence[Address]) -> None:
        """Connect to the first of ``addresses`` that listens, and carry ``flight``."""
        self.flight = flight
        self._addresses = list(addresses)
        self._connect(OSError("the name has no address"))

    def carry(self, flight: Flight) -> None:
        """Carry ``flight`` on this connection, which is idle."""
        self.flight = flight
        flight.connected_ns = flight.started_ns
        self._send_request(flight)

    def serve(self, mask: int) -> None:
        """Do what the poller says can be done."""
        state = self.state
        if state is State.BUSY:
            if mask & OUT:
                self._flush()
            if mask & (IN | BROKEN):
                self._read()
        elif state is State.CONNECTING and mask & (OUT | BROKEN):
            self._connected()
        elif state is State.SHAKING:
            if mask & OUT:
                self._flush()
            if mask & (IN | BROKEN):
                self._shake()
        elif state is State.IDLE:
            self.close()  # the peer closed it, or said something nobody asked for

    def close(self) -> None:
        """Close the socket, whatever state it is in."""
        if self._sock is not None:
            self._intake.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None
        self.state = State.CLOSED

    def end(self, end: End, detail: str) -> None:
        """End the exchange; the connection is kept only after ``End.KEPT``."""
        flight, self.flight = self.flight, None
        if end is End.KEPT and not self._unsent:
            self.state, self.idle_since_ns = State.IDLE, _now()
            if self._sock is not None:
                self._intake.pause(self._sock)
        else:
            self.close()
        self._framing, self._unsent = None, b""
        if flight is not None:
            self._over(self, flight, end, detail)

    # Connecting

    def _connect(self, failure: OSError) -> None:
        while self._addresses:
            family, kind, protocol, _, address = self._addresses.pop(0)
            self.close()
            try:
                self._sock = sock = _socket.socket(family, kind, protocol)
                sock.setblocking(False)
                sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
                self._stamps = stamps.enable(sock)
                self._stamped()
                code = sock.connect_ex(address)
            except OSError as error:
                failure = error
                continue
            if code in _UNDER_WAY:
                self.state, self._mask = State.CONNECTING, OUT
                self._intake.watch(sock.fileno(), OUT, self.serve)
                return
            failure = OSError(code, os.strerror(code))
        self._failed(failure, connected=False)

    def _stamped(self) -> None:
        if not self._stamps and self.flight is not None:
            self.flight.offset_ns = None

    def _connected(self) -> None:
        flight, sock = self._here()
        if code := sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR):
            self._connect(OSError(code, os.strerror(code)))
            return
        flight.connected_ns = _now()
        where = flight.ticket.where
        if not where.tls:
            self._send_request(flight)
            return
        self.state = State.SHAKING
        self._channel = Channel(self._trust or tls.default_context(), where.host)
        self._shake_with(b"")

    def _shake(self) -> None:
        _, sock = self._here()
        try:
            data = sock.recv(READ_BYTES)
            if not data:
                raise ConnectionResetError("the peer left during the TLS handshake")
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._failed(error, connected=False)
        else:
            self._shake_with(data)

    def _shake_with(self, data: bytes) -> None:
        flight, channel = self.flight, self._channel
        if flight is None or channel is None:
            return
        try:
            agreed = channel.shake(data)
        except ssl.SSLError as error:
            self._unsent += channel.outgoing()
            self._flush()  # the alert that tells the peer why
            self._failed(error, connected=False)
            return
        self._unsent += channel.outgoing()
        if agreed:
            self._send_request(flight)
        else:
            self._flush()

    # Sending

    def _send_request(self, flight: Flight) -> None:
        self.uses += 1
        flight.use = self.uses
        self.state = State.BUSY
        payload = flight.ticket.payload
        self._unsent += payload if self._channel is None else self._channel.seal(payload)
        if self._keep:
            head_only = flight.ticket.request.method.upper() == "HEAD"
            self._framing = Framing(flight.kept, head_only=head_only)
        self._flush()

    def _flush(self) -> None:
        flight, sock = self._here()
        try:
            sent = sock.send(self._unsent) if self._unsent else 0
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:  # the answer may lie in the socket nevertheless
            flight.unsent, self._unsent, sent = error, b"", 0
        self._unsent = self._unsent[sent:]
        sent_all = not self._unsent and flight.unsent is None
        if sent_all and self.state is State.BUSY and flight.sent_ns is None:
            flight.sent_ns = _now()
        self._watch(IN | OUT if self._unsent else IN)

    def _watch(self, mask: int) -> None:
        if self._sock is not None and mask != self._mask:
            self._mask = mask
            self._intake.change(self._sock.fileno(), mask)

    # Receiving

    def _read(self) -> None:
        _, sock = self._here()
        try:
            data, ancillary, _, _ = sock.recvmsg(READ_BYTES, stamps.ANCILLARY_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.broke(error)
        else:
            self.take(data, ancillary, _now())

    def take(self, data: bytes, ancillary: stamps.Ancillary, seen_ns: int) -> None:
        """Take what one read brought; nothing at all if the peer has left."""
        flight, sock = self._here()
        channel, framing, over = self._channel, self._framing, not data
        if channel is not None and data:
            try:
                data, over = channel.open(data), channel.over
            except OSError as error:
                self.broke(error)
                return
        if data:
            stamp = ancillary[0][2] if ancillary else UNSTAMPED
            flight.kept += (data, seen_ns, stamp)
            if framing is not None and framing.ends():
                self.end(End.KEPT, "")
            elif flight.size > flight.limit:
                self.end(End.CANCELLED, f"the answer passed the limit of {flight.limit} bytes")
            elif self._stamps and channel is None and (framing is None or framing.midway):
                self._intake.stream(sock, flight.kept, self)
        if over and self.flight is flight:
            self._peer_left(flight, sock)

    def broke(self, error: OSError) -> None:
        """The connection broke while the answer came."""
        self._failed(error, connected=True)

    def _peer_left(self, flight: Flight, sock: _socket.socket) -> None:
        if flight.unsent is not None:
            self._failed(flight.unsent, connected=True)
        elif self._channel is None:
            self.end(End.EOF, self._remark())
        elif self._channel.over:
            with suppress(OSError):
                sock.send(self._channel.farewell())
            self.end(End.EOF, self._remark())
        else:
            self.end(End.RESET, tls.CUT)

    def _remark(self) -> str:
        """Say where an idle connection was closed just as it was used again (RFC 9112 9.3.1)."""
        flight = self.flight
        if flight is None or flight.kept or self.uses == 1:
            return ""
        return f"closed by the peer before use {self.uses} of the connection"

    def _failed(self, error: OSError, *, connected: bool) -> None:
        if self.flight is None:
            self.close()
            return
        where = self.flight.ticket.where
        end, detail = ending(error, where, connected=connected)
        if connected and (remark := self._remark()):
            detail += f"; {remark}"
        self.end(end, detail)

    def _here(self) -> tuple[Flight, _socket.socket]:
        if self.flight is None or self._sock is None:
            raise RuntimeError(f"a {self.state.name.lower()} connection has nothing to carry")
        return self.flight, self._sock
