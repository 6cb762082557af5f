"""The loop of the engine: what runs in its thread."""

from __future__ import annotations

import _socket
import heapq
import math
import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING

from harness.wire import stamps
from harness.wire._shared import overdue
from harness.wire.engine.connection import Connection
from harness.wire.engine.flight import Flight
from harness.wire.engine.intake import Intake
from harness.wire.engine.lags import Lags
from harness.wire.engine.names import Names
from harness.wire.engine.natives import IN, Bell, pause, poller
from harness.wire.engine.slices import short
from harness.wire.exchange import End

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Sequence

    from harness.wire.engine.names import Address
    from harness.wire.engine.ticket import Ticket

Place = tuple[str, int, bool]
"""What a connection may be shared for: host, port and whether TLS is spoken."""

_now = time.monotonic_ns
_S = 1_000_000_000
_LONGEST_NAP_S = 0.25
_CROWD = 64
"""Exchanges in flight from which on it pays to let arrivals gather."""
_VOLLEY, _FEW = 16, 2
"""Exchanges started in one turn, which takes a millisecond at most, after which those under way are
read again; and in a turn that reading alone made longer than that. What is read late merges, and
nothing mends it; what starts late has a dispatch lag that says so."""
_LATE_NS = 1_000_000
_PROBES = 100
_LEFT = (End.EOF, End.RESET)
_SPARE_DEADLINES = 4096


class Loop:
    """Takes tickets from an inbox and settles them; everything but `post` runs in one thread."""

    def __init__(
        self,
        *,
        max_in_flight: int,
        max_answer_bytes: int,
        max_kept_bytes: int,
        keep: bool,
        idle_s: float,
        rest_s: float,
        gather_s: float,
        trust: ssl.SSLContext | None,
    ) -> None:
        self.ready = Bell()
        """Rings when the loop runs, and again when it has stopped."""
        self.failure: BaseException | None = None
        """What stopped it, where that was not `stop`."""
        self.stopped = False
        self.cpu_s: float | None = None
        """CPU time of the thread, once it has stopped."""
        self.slice_ns: int | None = None
        """Length of its slices of the processor, where it could be shortened."""
        self.loop_lag, self.dispatch_lag = Lags(), Lags()
        self.exchanges = self.opened = self.most_in_flight = 0
        self._max_in_flight, self._limit = max_in_flight, max_answer_bytes
        self._max_kept = max_kept_bytes
        self._keep, self._idle_ns, self._trust = keep, round(idle_s * _S), trust
        self._rest_ns = round(rest_s * _S)
        self._keepers: set[Place] = set()
        """Where a connection has served a second request."""
        self._closers: set[Place] = set()
        """Where none has, and one was found closed."""
        self._inbox: deque[Callable[[], None]] = deque()
        self._bell = Bell()
        self._poller, self._pause = poller(), pause()
        self._gather_s = gather_s
        self._intake = Intake(self._poller)
        self._idle: dict[Place, deque[Connection]] = {}
        self._names = Names(self.post, self._found, self._not_found)
        self._flying: dict[int, tuple[Flight, Connection | None]] = {}
        self._numbers = count()
        self._scheduled: list[tuple[int, int, Ticket]] = []
        self._due: deque[Ticket] = deque()
        self._deadlines: list[tuple[int, int]] = []
        self._swept_ns = _now()
        self._stopping = self._asleep = False

    @property
    def in_flight(self) -> int:
        """Exchanges that have started and not ended."""
        return len(self._flying)

    @property
    def idle(self) -> int:
        """Connections that wait for another exchange."""
        waiting = [list(connections) for connections in list(self._idle.values())]
        return sum(connection.alive for connections in waiting for connection in connections)

    @property
    def queued(self) -> int:
        """Tickets that have not started: scheduled for later, or above the limit in flight."""
        return len(self._inbox) + len(self._scheduled) + len(self._due)

    def post(self, order: Callable[[], None]) -> None:
        """Have ``order`` carried out by the loop, soon. From any thread."""
        self._inbox.append(order)
        if self._asleep:  # else it looks into the inbox before it sleeps
            self._bell.ring()

    def run(self) -> None:
        """Serve until `stop` has been carried out. Rings `ready` at the start and the end."""
        keeper = None
        try:
            self._intake.watch(self._bell.fd, IN, lambda _: self._bell.hush())
            keeper = self._switch_on_stamps()
            with short() as self.slice_ns:
                self.ready.ring()
                while not self._stopping:
                    self._turn()
        except BaseException as error:  # noqa: BLE001 - told to whoever waits, and to `submit`
            self.failure = error
        finally:
            self.cpu_s = time.thread_time()
            self.stopped = True  # before the inbox is emptied: who comes later gives up himself
            self._give_everything_up()
            if keeper is not None:
                keeper.close()
            self._bell.close()
            self._poller.close()
            self.ready.ring()

    # Orders, carried out inside the loop

    def take(self, tickets: Iterable[Ticket]) -> None:
        """Start each of ``tickets`` when it is due."""
        now = _now()
        for ticket in tickets:
            if ticket.scheduled_ns is not None and ticket.scheduled_ns > now:
                heapq.heappush(self._scheduled, (ticket.scheduled_ns, next(self._numbers), ticket))
            else:
                self._due.append(ticket)

    def give_up(self, ticket: Ticket) -> None:
        """End ``ticket`` as cancelled, whether it has started or not."""
        flight, connection = self._flying.get(ticket.number, (None, None))
        if flight is not None:
            self._abort(flight, connection, End.CANCELLED, "cancelled by the caller")
        elif ticket.recorded is None:
            ticket.settle(Flight(ticket, -1, 0).finish(End.CANCELLED, "cancelled before its start"))

    def stop(self) -> None:
        """Serve no more; what has not ended is cancelled."""
        self._stopping = True

    # One turn

    def _turn(self) -> None:
        self._asleep = True  # from here on who posts rings
        nap_s = self._nap_s()
        if nap_s and self._gather_s and len(self._flying) >= _CROWD:
            self._pause([self._bell.fd], (), (), min(nap_s, self._gather_s))
            nap_s = 0.0 if self._inbox else max(0.0, nap_s - self._gather_s)
        events = self._poller.poll(nap_s)
        self._asleep = False
        volley = _VOLLEY
        if events:
            woke_ns = _now()
            self._intake.serve(events)
            took_ns = _now() - woke_ns
            self.loop_lag.add(took_ns, len(events))
            if took_ns > _LATE_NS:
                volley = _FEW
        for _ in range(len(self._inbox)):
            self._inbox.popleft()()
        now = _now()
        while self._scheduled and self._scheduled[0][0] <= now:
            self._due.append(heapq.heappop(self._scheduled)[2])
        for _ in range(min(len(self._due), volley, self._max_in_flight - len(self._flying))):
            self._launch(self._due.popleft())
        while self._deadlines and self._deadlines[0][0] <= now:
            self._expire(heapq.heappop(self._deadlines)[1])
        if now - self._swept_ns > _LONGEST_NAP_S * _S:
            self._sweep(now)

    def _nap_s(self) -> float:
        if self._inbox or (self._due and len(self._flying) < self._max_in_flight):
            return 0.0
        moments = [heap[0][0] for heap in (self._scheduled, self._deadlines) if heap]
        if not moments:
            return _LONGEST_NAP_S
        return min(_LONGEST_NAP_S, max(0.0, (min(moments) - _now()) / _S))

    def _launch(self, ticket: Ticket) -> None:
        if ticket.recorded is not None:
            return  # given up while it waited
        ticket.number = number = next(self._numbers)
        flight = Flight(ticket, number, self._limit)
        self.dispatch_lag.add(flight.started_ns - ticket.due_ns)
        if math.isfinite(ticket.timeout_s):
            moment = flight.started_ns + round(ticket.timeout_s * _S)
            heapq.heappush(self._deadlines, (moment, number))
        where = ticket.where
        connection = self._rested((where.host, where.port, where.tls), flight.started_ns)
        self._fly(flight, connection)
        if connection is not None:
            connection.carry(flight)
            return
        addresses = self._names.look_up(where.host, where.port)
        if addresses is not None:
            self._open(flight, addresses)

    def _rested(self, place: Place, now: int) -> Connection | None:
        """Take a connection that can be used again, or none.

        A server may announce that it keeps connections and close each after its answer
        (llama-server does after a stream). Who asks at once meets the close half-way, and what
        was sent is lost. So until one of a place has served twice they rest first, unless there
        were more connections then than may be in flight; and where one is found closed before
        that, none is used twice.
        """
        idle = self._idle.get(place, deque())
        proven = place in self._keepers
        many = len(idle) + len(self._flying) >= self._max_in_flight
        while idle:
            if not (proven or many) and now - idle[0].idle_since_ns < self._rest_ns:
                return None
            connection = idle.pop() if proven or many else idle.popleft()
            if connection.flight is None and connection.alive:
                return connection
            if not proven:
                self._closers.add(place)
        return None

    def _fly(self, flight: Flight, connection: Connection | None) -> None:
        self._flying[flight.number] = flight, connection
        self.most_in_flight = max(self.most_in_flight, len(self._flying))

    def _open(self, flight: Flight, addresses: Sequence[Address]) -> None:
        connection = Connection(self._intake, self._over, keep=self._keep, trust=self._trust)
        self.opened += 1
        self._flying[flight.number] = flight, connection
        connection.open(flight, addresses)

    def _over(self, connection: Connection, flight: Flight, end: End, detail: str) -> None:
        self._flying.pop(flight.number, None)
        where = flight.ticket.where
        place = (where.host, where.port, where.tls)
        if connection.uses > 1 and place not in self._keepers:
            if end is End.KEPT:
                self._keepers.add(place)
                self._closers.discard(place)
            elif end in _LEFT and not flight.kept:
                self._closers.add(place)
        if end is End.KEPT and connection.alive:
            if place in self._closers:
                connection.close()
            else:
                self._idle.setdefault(place, deque()).append(connection)
        self.exchanges += 1
        flight.ticket.settle(flight.finish(end, detail))

    def _abort(self, flight: Flight, connection: Connection | None, end: End, detail: str) -> None:
        if connection is not None:
            connection.end(end, detail)
        else:  # its name is still being looked up
            self._flying.pop(flight.number, None)
            flight.ticket.settle(flight.finish(end, detail))

    def _expire(self, number: int) -> None:
        flight, connection = self._flying.get(number, (None, None))
        if flight is not None:
            detail = overdue(
                flight.ticket.timeout_s,
                flight.ticket.where,
                connected=flight.connected_ns is not None,
                received=flight.size,
            )
            self._abort(flight, connection, End.TIMEOUT, detail)

    # Connections that wait, names, and the end

    def _sweep(self, now: int) -> None:
        """Keep within bounds: idle connections, kept bytes, deadlines of what has ended."""
        self._swept_ns = now
        self._shed()
        for waiting in self._idle.values():
            while waiting and (
                not waiting[0].alive or now - waiting[0].idle_since_ns > self._idle_ns
            ):
                waiting.popleft().close()
        if len(self._deadlines) > 2 * len(self._flying) + _SPARE_DEADLINES:
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._flying]
            heapq.heapify(self._deadlines)

    def _shed(self) -> None:
        """Cut the longest answers off until those under way are within their limit together."""
        kept = sum(flight.size for flight, _ in self._flying.values())
        if kept <= self._max_kept:
            return
        why = f"the answers under way passed the limit of {self._max_kept} bytes together"
        largest = sorted(self._flying.values(), key=lambda flown: -flown[0].size)
        for flight, connection in largest:
            self._abort(flight, connection, End.CANCELLED, why)
            kept -= flight.size
            if kept <= self._max_kept:
                return

    def _found(self, host: str, port: int, addresses: Sequence[Address]) -> None:
        for flight in self._nameless(host, port):
            self._open(flight, addresses)

    def _not_found(self, host: str, port: int, error: OSError) -> None:
        for flight in self._nameless(host, port):
            authority = flight.ticket.where.authority
            reason = f"cannot connect to {authority}: {error.strerror or error}"
            self._abort(flight, None, End.UNREACHABLE, reason)

    def _nameless(self, host: str, port: int) -> list[Flight]:
        return [
            flight
            for flight, connection in list(self._flying.values())
            if connection is None
            and (flight.ticket.where.host, flight.ticket.where.port) == (host, port)
        ]

    def _switch_on_stamps(self) -> _socket.socket:
        """Return an idle socket that keeps stamping on; wait, shortly, until it works.

        See `harness.wire.stamps.switch_on`, which needs an event loop of asyncio.
        """
        keeper = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
        keeper.setblocking(False)
        keeper.bind(("127.0.0.1", 0))
        works = False
        if stamps.enable(keeper):
            for _ in range(_PROBES):
                keeper.sendto(b"x", keeper.getsockname())
                try:
                    arrived = keeper.recvmsg(1, stamps.ANCILLARY_BYTES)[1]
                except BlockingIOError:
                    arrived = []
                if works := stamps.realtime_ns(arrived) is not None:
                    break
                self._poller.poll(0.001)
        if not works:
            self._gather_s = 0.0  # the engine's own stamps would be late by it
        return keeper

    def _give_everything_up(self) -> None:
        why = "the engine was closed"
        if self.failure is not None:
            why = f"the engine failed: {self.failure!r}"
        self._stopping = True
        for flight, connection in list(self._flying.values()):
            self._abort(flight, connection, End.CANCELLED, why)
        for waiting in self._idle.values():
            for connection in waiting:
                connection.close()
        while self._inbox:
            self._inbox.popleft()()  # tickets that came last go the same way
        for ticket in [*self._due, *(entry[2] for entry in self._scheduled)]:
            if ticket.recorded is None:
                ticket.settle(Flight(ticket, -1, 0).finish(End.CANCELLED, why))
        self._due.clear()
        self._scheduled.clear()
