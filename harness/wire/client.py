"""The recording client: one connection per request, bytes and stamps, nothing else.

While an exchange runs nothing is parsed, decoded or counted, so that the client
stays out of its own measurements; `harness.wire.http1` and `harness.wire.sse` read
the bytes afterwards. An exchange ends when the peer closes the connection. Every
request asks for that (``Connection: close``); a server that keeps the connection
open nevertheless is recorded whole and ends as ``End.TIMEOUT``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any, Self

from harness.wire import stamps, tls
from harness.wire._shared import READ_BYTES, checked_timeout, ending, new_id, overdue
from harness.wire.exchange import End, Exchange, Request
from harness.wire.http1 import WireError, endpoint, serialise

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType


class RecordingClient:
    """Sends requests over the running event loop and records what comes back.

    ``timeout_s`` is the deadline of one whole exchange, from connecting to the end of
    the answer. ``on_exchange`` gets every exchange once, cancelled ones too, before
    `send` returns, and runs inside the event loop: under load let it append to a list
    and do slow work afterwards. What it raises, `send` raises.

    Any number of exchanges may run at once. Where the kernel stamps arrivals its
    stamps are taken (`harness.wire.stamps`), also under TLS (`harness.wire.tls`). ``trust``
    says whose certificates are accepted; default: those the system trusts. Needs a POSIX
    selector event loop.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 60.0,
        on_exchange: Callable[[Exchange], None] | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout_s = checked_timeout(timeout_s)
        self._on_exchange = on_exchange
        self._trust = trust
        self._keeper: socket.socket | None = None

    async def __aenter__(self) -> Self:
        self._keeper = await stamps.switch_on()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None

    async def send(
        self,
        request: Request,
        *,
        labels: Mapping[str, str] | None = None,
        id: str | None = None,  # noqa: A002 - the field of Exchange it becomes
        timeout_s: float | None = None,
    ) -> Exchange:
        """Send ``request`` and return the exchange, however it ended.

        Failures of the network are no exceptions but an ``End`` with its detail.
        ``timeout_s`` overrides the client's; ``id`` is made up where none is given.

        Raises:
            WireError: The request cannot be sent as asked; nothing was sent.
            asyncio.CancelledError: The caller gave up; what had arrived until then
                went to ``on_exchange`` as ``End.CANCELLED``.
        """
        if self._keeper is None:
            raise WireError(
                "the client is not open: write `async with RecordingClient() as client`."
            )
        limit_s = self._timeout_s if timeout_s is None else checked_timeout(timeout_s)
        payload = serialise(request)
        tape = _Tape(request, id=id or new_id(), labels=dict(labels or {}), trust=self._trust)
        try:
            async with asyncio.timeout(limit_s):
                await tape.record(payload)
        except TimeoutError:
            tape.overdue(limit_s)
        except asyncio.CancelledError:
            tape.finish(End.CANCELLED, "cancelled by the caller")
            self._report(tape.exchange())
            raise
        finally:
            tape.close()
        return self._report(tape.exchange())

    def _report(self, exchange: Exchange) -> Exchange:
        if self._on_exchange is not None:
            self._on_exchange(exchange)
        return exchange


class _Tape:
    """One exchange while it is being recorded."""

    def __init__(
        self,
        request: Request,
        *,
        id: str,  # noqa: A002 - the field of Exchange it becomes
        labels: Mapping[str, str],
        trust: ssl.SSLContext | None,
    ) -> None:
        self._request = request
        self._trust = trust
        self._tunnel: tls.Tunnel | None = None
        self._id = id
        self._labels = labels
        self._where = endpoint(request.url)
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = None
        self._reading = False
        self._raw: list[stamps.RawRead] = []
        self._over: asyncio.Future[OSError | None] = self._loop.create_future()
        self._end = End.UNREACHABLE
        self._detail = ""
        self._offset_ns: int | None = None
        self._started_ns = time.monotonic_ns()
        self._connected_ns: int | None = None
        self._sent_ns: int | None = None
        self._ended_ns = self._started_ns

    async def record(self, payload: bytes) -> None:
        """Connect, send, and read until the peer ends the connection."""
        try:
            sock = await self._connect()
            self._connected_ns = time.monotonic_ns()
            if self._where.tls:
                tunnel = tls.Tunnel(self._trust or tls.default_context(), self._where.host)
                await tunnel.shake_hands(self._loop, sock)
                self._tunnel, payload = tunnel, tunnel.seal(payload)
        except OSError as error:
            self.finish(*ending(error, self._where, connected=False))
            return
        # Read from the start: a peer may answer, and even close, before it took everything.
        self._loop.add_reader(sock, self._on_readable, sock)
        self._reading = True
        unsent: OSError | None = None
        try:
            await self._loop.sock_sendall(sock, payload)
            self._sent_ns = time.monotonic_ns()
        except OSError as error:
            unsent = error
        broken = await self._over or unsent
        if broken is None and self._tunnel is not None and not self._tunnel.over:
            self.finish(End.RESET, tls.CUT)
        elif broken is None:
            self.finish(End.EOF, "")
        else:
            self.finish(*ending(broken, self._where, connected=True))

    async def _connect(self) -> socket.socket:
        failure = OSError("the name has no address")
        for family, kind, protocol, _, address in await self._addresses():
            sock = socket.socket(family, kind, protocol)
            self.close()
            self._sock = sock
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._offset_ns = stamps.offset_ns() if stamps.enable(sock) else None
            try:
                await self._loop.sock_connect(sock, address)
            except OSError as error:
                failure = error
            else:
                return sock
        raise failure

    async def _addresses(self) -> Sequence[tuple[int, int, int, str, Any]]:
        host, port = self._where.host, self._where.port
        try:
            numeric = socket.AI_NUMERICHOST
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=numeric)
        except socket.gaierror:
            return await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    def _on_readable(self, sock: socket.socket) -> None:
        try:
            data, ancillary, _, _ = sock.recvmsg(READ_BYTES, stamps.ANCILLARY_BYTES)
            if self._tunnel is not None and data:
                self._on_sealed(self._tunnel, sock, data, ancillary)
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._peer_left(sock, error)
            return
        if data:
            self._raw.append((time.monotonic_ns(), data, ancillary))
        else:
            self._peer_left(sock, None)

    def _on_sealed(
        self, tunnel: tls.Tunnel, sock: socket.socket, data: bytes, ancillary: stamps.Ancillary
    ) -> None:
        seen_ns = time.monotonic_ns()
        if plain := tunnel.open(data):
            self._raw.append((seen_ns, plain, ancillary))
        if tunnel.over:
            with contextlib.suppress(OSError):
                sock.send(tunnel.farewell())
            self._peer_left(sock, None)

    def _peer_left(self, sock: socket.socket, error: OSError | None) -> None:
        self._loop.remove_reader(sock)
        self._reading = False
        if not self._over.done():
            self._over.set_result(error)

    def finish(self, end: End, detail: str) -> None:
        """Say how it ended."""
        self._end, self._detail = end, detail
        self._ended_ns = time.monotonic_ns()

    def overdue(self, limit_s: float) -> None:
        """End it because its deadline passed."""
        received = sum(len(data) for _, data, _ in self._raw)
        connected = self._connected_ns is not None
        self.finish(
            End.TIMEOUT, overdue(limit_s, self._where, connected=connected, received=received)
        )

    def close(self) -> None:
        """Close the socket, whatever state it is in."""
        if self._sock is not None:
            if self._reading:
                self._loop.remove_reader(self._sock)
                self._reading = False
            self._sock.close()
            self._sock = None

    def exchange(self) -> Exchange:
        """Return what was recorded."""
        clock, reads = stamps.settle(
            self._raw, offset_before_ns=self._offset_ns, connected_ns=self._connected_ns
        )
        return Exchange(
            id=self._id,
            request=self._request,
            started_ns=self._started_ns,
            connected_ns=self._connected_ns,
            sent_ns=self._sent_ns,
            ended_ns=self._ended_ns,
            reads=reads,
            end=self._end,
            detail=self._detail,
            clock=clock,
            labels=self._labels,
        )
