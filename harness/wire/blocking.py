"""One exchange on a plain blocking socket, for callers without an event loop.

Uses nothing but what `socket` offers and gevent patches, so that a Locust user
waiting here lets the others run. Stamps are the reader's own (``Clock.USER``).
"""

from __future__ import annotations

import errno
import socket
import time
from typing import TYPE_CHECKING

from harness.wire import tls
from harness.wire._shared import READ_BYTES, checked_timeout, ending, new_id, overdue
from harness.wire.exchange import End, Exchange, Read, Request
from harness.wire.http1 import Endpoint, endpoint, serialise

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping


def exchange(
    request: Request,
    *,
    timeout_s: float = 60.0,
    labels: Mapping[str, str] | None = None,
    id: str | None = None,  # noqa: A002 - the field of Exchange it becomes
    trust: ssl.SSLContext | None = None,
) -> Exchange:
    """Send ``request`` and return the exchange, however it ended.

    The same contract as `harness.wire.client.RecordingClient.send`: one connection,
    ``timeout_s`` from connecting to the end of the answer, failures of the network
    as an ``End`` with its detail. ``trust`` says whose certificates are accepted.

    Raises:
        WireError: The request cannot be sent as asked; nothing was sent.
    """
    tape = _Tape(endpoint(request.url), checked_timeout(timeout_s), trust)
    end, detail = tape.record(serialise(request))
    return Exchange(
        id=id or new_id(),
        request=request,
        started_ns=tape.started_ns,
        connected_ns=tape.connected_ns,
        sent_ns=tape.sent_ns,
        ended_ns=time.monotonic_ns(),
        reads=tuple(tape.reads),
        end=end,
        detail=detail,
        labels=dict(labels or {}),
    )


class _Tape:
    """One exchange while it is being recorded."""

    def __init__(self, where: Endpoint, timeout_s: float, trust: ssl.SSLContext | None) -> None:
        self._where = where
        self._trust = trust
        self._timeout_s = timeout_s
        self.reads: list[Read] = []
        self.started_ns = time.monotonic_ns()
        self.connected_ns: int | None = None
        self.sent_ns: int | None = None

    def record(self, payload: bytes) -> tuple[End, str]:
        """Connect, send, and read until the peer ends the connection."""
        try:
            address = (self._where.host, self._where.port)
            with socket.create_connection(address, self._left_s()) as sock:
                if not self._where.tls:
                    self.connected_ns = time.monotonic_ns()
                    return self._converse(sock, payload)
                trust = self._trust or tls.default_context()
                with trust.wrap_socket(
                    sock, server_hostname=self._where.host, suppress_ragged_eofs=False
                ) as sealed:
                    self.connected_ns = time.monotonic_ns()
                    return self._converse(sealed, payload)
        except OSError as error:
            return self._ending(error)

    def _converse(self, sock: socket.socket, payload: bytes) -> tuple[End, str]:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        unsent: OSError | None = None
        try:
            sock.settimeout(self._left_s())
            sock.sendall(payload)
            self.sent_ns = time.monotonic_ns()
        except (BrokenPipeError, ConnectionError) as error:
            unsent = error  # the answer may lie in the socket nevertheless
        while True:
            sock.settimeout(self._left_s())
            data = sock.recv(READ_BYTES)
            if not data:
                return self._ending(unsent) if unsent else (End.EOF, "")
            self.reads.append(Read(time.monotonic_ns(), data))

    def _left_s(self) -> float:
        left = self._timeout_s - (time.monotonic_ns() - self.started_ns) / 1e9
        if left <= 0:
            raise TimeoutError
        return left

    def _ending(self, error: OSError) -> tuple[End, str]:
        connected = self.connected_ns is not None
        if isinstance(error, TimeoutError) and error.errno != errno.ETIMEDOUT:
            received = sum(len(read.data) for read in self.reads)
            return End.TIMEOUT, overdue(
                self._timeout_s, self._where, connected=connected, received=received
            )
        return ending(error, self._where, connected=connected)
