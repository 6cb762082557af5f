"""Plays a load on one engine: a closed loop of users, or a schedule of arrivals.

This is the driver for one process, behind `harness load` and the judges that need a load of
their own; a load spread over processes and machines is Locust's to drive.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from harness.load.workload.arrival import staggered

if TYPE_CHECKING:
    from harness.wire import Request
    from harness.wire.engine import LoadEngine, Recorded, Ticket, Vitals

_NS = 1_000_000_000
_WATCH_S = 0.2
"""How long a stop or an end of time may go unseen."""
_AHEAD_S = 0.5
"""How early a scheduled request is handed to the engine."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a load, with what its recording shall be known by."""

    request: Request
    labels: Mapping[str, str] = field(default_factory=dict)


Make = Callable[[int], Call]
"""The request of a number: a pure function, so that any process makes the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """What came of a load. Times are CLOCK_MONOTONIC nanoseconds."""

    recorded: tuple[Recorded, ...]
    """Every request that was handed over, in the order in which they were due."""
    begun_ns: int
    ended_ns: int
    """When the last answer had ended."""
    before: Vitals
    after: Vitals
    complete: bool
    """Whether all that was planned was asked; not if it was stopped."""

    @property
    def seconds(self) -> float:
        """How long it took, the last answers included."""
        return (self.ended_ns - self.begun_ns) / _NS


def closed(
    engine: LoadEngine,
    make: Make,
    *,
    users: int,
    seconds: float | None = None,
    requests: int | None = None,
    stagger_s: float = 0.0,
    seed: int = 1,
    first: int = 0,
    stop: threading.Event | None = None,
) -> Drive:
    """Keep ``users`` requests under way, a new one as soon as one ends.

    It ends after ``seconds`` or ``requests``, whichever comes first; what is under way then is
    waited for. Numbers count from ``first``. With ``stagger_s`` the users start at random within
    that time, so that they do not run in step. Setting ``stop`` asks nothing more and gives up
    what is under way.

    Raises:
        ValueError: no users, neither an end in time nor in requests, or one that is not positive.
        WireError: the engine does not run, or a request cannot be sent.
    """
    if users < 1:
        raise ValueError(f"{users} users: give at least 1")
    if seconds is None and requests is None:
        raise ValueError("a closed loop without an end: give seconds or requests")
    if (seconds is not None and not seconds > 0) or (requests is not None and requests < 1):
        raise ValueError(f"a load of {seconds} seconds and {requests} requests: give more than 0")
    run = _Run(engine, make, stop)
    until = None if seconds is None else run.begun_ns + round(seconds * _NS)
    numbers = islice(count(first), requests)
    starts = staggered(users, stagger_s, seed=seed)
    for number, at_s in zip(islice(numbers, users), starts, strict=False):
        run.ask(number, run.begun_ns + round(at_s * _NS) if stagger_s else None)
    while run.under_way and run.await_one():
        if not run.stopped and (until is None or time.monotonic_ns() < until):
            for number in islice(numbers, 1):
                run.ask(number)
    asked_all = requests is None or run.asked >= requests
    return run.over(complete=not run.stopped and (seconds is not None or asked_all))


def scheduled(
    engine: LoadEngine,
    make: Make,
    at_s: Iterable[float],
    *,
    first: int = 0,
    stop: threading.Event | None = None,
) -> Drive:
    """Ask when it is due, whatever has been answered until then: an open loop.

    ``at_s`` are the moments, ascending, in seconds from the beginning; the k-th belongs to number
    ``first + k``. The engine's loop starts each itself, so that no thread has to wake in time.

    Raises:
        ValueError: the moments do not ascend.
        WireError: the engine does not run, a request cannot be sent, or too many are waiting.
    """
    run = _Run(engine, make, stop)
    last = 0.0
    for number, moment in enumerate(at_s, first):
        if moment < last:
            run.give_up()
            raise ValueError(f"request {number} is due at {moment} s, after one at {last} s")
        last = moment
        due_ns = run.begun_ns + round(moment * _NS)
        if not run.idle_until(due_ns - round(_AHEAD_S * _NS)):
            return run.over(complete=False)
        run.ask(number, due_ns)
    while run.under_way and run.await_one():
        pass
    return run.over(complete=not run.stopped)


class _Run:
    """The state of one drive, in the thread that called."""

    def __init__(self, engine: LoadEngine, make: Make, stop: threading.Event | None) -> None:
        self._engine = engine
        self._make = make
        self._stop = stop or threading.Event()
        self._ended: SimpleQueue[Ticket] = SimpleQueue()
        self._tickets: dict[str, Ticket] = {}
        self._recorded: list[Recorded] = []
        self._before = engine.vitals()
        self.asked = 0
        self.stopped = False
        self.begun_ns = time.monotonic_ns()

    @property
    def under_way(self) -> int:
        return len(self._tickets)

    def ask(self, number: int, due_ns: int | None = None) -> None:
        call = self._make(number)
        labels = {**call.labels, "number": str(number)}
        try:
            ticket = self._engine.submit(call.request, scheduled_ns=due_ns, labels=labels)
        except BaseException:
            self.give_up()
            raise
        self.asked += 1
        self._tickets[ticket.id] = ticket
        ticket.add_done_callback(self._ended.put)

    def await_one(self) -> bool:
        """Wait for an end; False once there is nothing to wait for."""
        while self._tickets:
            try:
                self._keep(self._ended.get(timeout=_WATCH_S))
            except Empty:
                self._look()
            except BaseException:
                self.give_up()
                raise
            else:
                self._look()
                return True
        return False

    def idle_until(self, moment_ns: int) -> bool:
        """Wait for that moment, taking in what ends meanwhile; False if stopped."""
        while not self.stopped and (left := moment_ns - time.monotonic_ns()) > 0:
            try:
                self._keep(self._ended.get(timeout=min(left / _NS, _WATCH_S)))
            except Empty:
                pass
            except BaseException:
                self.give_up()
                raise
            self._look()
        return not self.stopped

    def over(self, *, complete: bool) -> Drive:
        while self.await_one():
            pass
        return Drive(
            recorded=tuple(sorted(self._recorded, key=_due)),
            begun_ns=self.begun_ns,
            ended_ns=max((one.ended_ns for one in self._recorded), default=self.begun_ns),
            before=self._before,
            after=self._engine.vitals(),
            complete=complete,
        )

    def _keep(self, ticket: Ticket) -> None:
        del self._tickets[ticket.id]
        if ticket.recorded is not None:
            self._recorded.append(ticket.recorded)

    def _look(self) -> None:
        if self._stop.is_set() and not self.stopped:
            self.give_up()

    def give_up(self) -> None:
        self.stopped = True
        for ticket in self._tickets.values():
            ticket.cancel()


def _due(recorded: Recorded) -> tuple[int, int]:
    return recorded.due_ns, recorded.started_ns
