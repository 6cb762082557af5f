"""Plays a load on one engine: a closed loop of users, or a schedule of arrivals.

This is the driver for one process, behind `harness load` and the judges that need a load of
their own; a load spread over processes and machines is Locust's to drive.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import TYPE_CHECKING, Self

from harness.load.workload.arrival import staggered
from harness.wire import WireError
from harness.wire.engine.natives import Bell
from harness.wire.engine.slices import short

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from harness.wire import Request
    from harness.wire.engine import LoadEngine, Recorded, Ticket, Vitals

_NS = 1_000_000_000
_WATCH_S, _LOOK_S = 0.2, 0.1
"""How long a stop may go unseen, and how often it is looked whether it is `Enough`."""
_AHEAD_S = 0.5
"""How early a scheduled request is handed to the engine."""
_LEAST_STOCK, _MOST_STOCK = 16, 4096
"""Requests of a closed loop that are prepared ahead: as many as there are users, within these."""
_MOMENT_S = 0.25
"""How long the beginning of a load may be put off for its stock."""
_DOSE, _PAUSE_S = 16, 0.002
"""So many are prepared at a time, in some tenths of a millisecond, and so long it is rested then,
unless the stock runs out."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a load, with what its recording shall be known by."""

    request: Request
    labels: Mapping[str, str] = field(default_factory=dict)


Make = Callable[[int], Call]
"""The request of a number: a pure function, so that any process makes the same."""

Enough = Callable[[Sequence["Recorded"], Collection["Ticket"]], bool]
"""Told what has ended and what is under way, says whether a load may end before its time.

It is asked ten times a second, in the thread that plays the load."""


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
    """Whether all that was planned was asked; not if it was stopped or cut short."""
    cut: bool = False
    """Whether it was ended early because that was `Enough`."""

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
    enough: Enough | None = None,
) -> Drive:
    """Keep ``users`` requests under way, a new one as soon as one ends.

    It ends after ``seconds`` or ``requests``, whichever comes first; what is under way then is
    waited for. Numbers count from ``first``. With ``stagger_s`` the users start at random within
    that time, so that they do not run in step. Setting ``stop``, or ``enough``, asks nothing more
    and gives up what is under way. Requests are made a little ahead of their time.

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
    with _Run(engine, make, stop, enough) as run:
        numbers = islice(count(first), requests)
        opening = [run.prepare(number) for number in islice(numbers, users)]
        run.open_stock(numbers, min(max(users, _LEAST_STOCK), _MOST_STOCK))
        run.begun_ns = time.monotonic_ns()
        if stagger_s:
            for ticket, at_s in zip(opening, staggered(users, stagger_s, seed=seed), strict=False):
                ticket.scheduled_ns = run.begun_ns + round(at_s * _NS)
        run.follow(None if seconds is None else run.begun_ns + round(seconds * _NS))
        run.hand_over(*opening)
        run.keep_stock()
        run.wait()
        drive = run.over(complete=not run.stopped)
    asked_all = requests is None or len(drive.recorded) >= requests
    return replace(drive, complete=drive.complete and (seconds is not None or asked_all))


def scheduled(
    engine: LoadEngine,
    make: Make,
    at_s: Iterable[float],
    *,
    first: int = 0,
    stop: threading.Event | None = None,
    enough: Enough | None = None,
) -> Drive:
    """Ask when it is due, whatever has been answered until then: an open loop.

    ``at_s`` are the moments, ascending, in seconds from the beginning; the k-th belongs to number
    ``first + k``. The engine's loop starts each itself, so that no thread has to wake in time.
    ``stop`` and ``enough`` end it as they end a `closed` loop.

    Raises:
        ValueError: the moments do not ascend.
        WireError: the engine does not run, a request cannot be sent, or too many are waiting.
    """
    with _Run(engine, make, stop, enough) as run:
        run.begun_ns = time.monotonic_ns()
        last = 0.0
        for number, moment in enumerate(at_s, first):
            if moment < last:
                raise ValueError(f"request {number} is due at {moment} s, after one at {last} s")
            last = moment
            due_ns = run.begun_ns + round(moment * _NS)
            if not run.idle_until(due_ns - round(_AHEAD_S * _NS)):
                break
            run.hand_over(run.prepare(number, due_ns))
        run.wait()
        return run.over(complete=not run.stopped)


class _Run:
    """The state of one drive.

    While it lasts the thread that called sleeps. What ends is taken in, and in a closed loop
    followed by the next request, in the thread of the engine (`_landed`): two threads that compute
    at once wait for each other, and where the processor is busy for whole slices of it. The
    caller's thread keeps a stock of prepared requests, a few at a time.

    Leaving the block by an exception gives up what is under way.
    """

    def __init__(
        self,
        engine: LoadEngine,
        make: Make,
        stop: threading.Event | None,
        enough: Enough | None,
    ) -> None:
        self._engine = engine
        self._make = make
        self._stop, self._enough = stop or threading.Event(), enough
        self._watch_s = _WATCH_S if enough is None else _LOOK_S
        self._look_at = 0.0
        self._bell = Bell()
        self._exit = ExitStack()
        self._stock: deque[Ticket] = deque()
        self._numbers: Iterator[int] = iter(())
        self._most = self._low = 0
        self._hungry: deque[None] = deque()
        """One for each request that had ended when the stock was empty."""
        self._following = self._used_up = False
        self._until_ns: int | None = None
        self._tickets: dict[str, Ticket] = {}
        self._recorded: list[Recorded] = []
        self._failure: WireError | None = None
        self._before = engine.vitals()
        self.stopped = self.cut = False
        self.begun_ns = 0

    def __enter__(self) -> Self:
        self._exit.callback(self._bell.close)
        self._exit.enter_context(short())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._give_up()
        self._exit.close()

    def prepare(self, number: int, due_ns: int | None = None) -> Ticket:
        call = self._make(number)
        labels = {**call.labels, "number": str(number)}
        return self._engine.prepare(call.request, scheduled_ns=due_ns, labels=labels)

    def hand_over(self, *tickets: Ticket) -> None:
        for ticket in tickets:
            self._tickets[ticket.id] = ticket
            ticket.add_done_callback(self._landed)
        self._engine.hand_over(*tickets)

    def follow(self, until_ns: int | None) -> None:
        """Have a request that ends followed by another, until that moment."""
        self._following, self._until_ns = True, until_ns

    def open_stock(self, numbers: Iterator[int], most: int) -> None:
        """Have up to ``most`` requests of ``numbers`` prepared, as many as a moment allows."""
        self._numbers, self._most, self._low = numbers, most, most // 2
        until = time.monotonic() + _MOMENT_S
        for number in islice(numbers, most):
            self._stock.append(self.prepare(number))
            if time.monotonic() > until:
                return

    def keep_stock(self) -> None:
        """Keep the stock up until all requests are prepared, or nothing more is asked."""
        for done, number in enumerate(self._numbers, 1):
            while len(self._stock) >= self._most and self._open:
                self._idle(self._watch_s)
            if not self._open:
                break
            self._stock.append(self.prepare(number))
            if done % _DOSE == 0 and len(self._stock) > self._low // 2:
                time.sleep(_PAUSE_S)
            self._attend()
        self._used_up, self._low = True, -1

    def idle_until(self, moment_ns: int) -> bool:
        """Wait for that moment; False if stopped."""
        while not self.stopped:
            left_s = (moment_ns - time.monotonic_ns()) / _NS
            self._idle(max(0.0, min(left_s, self._watch_s)))
            if left_s <= 0:
                break
        return not self.stopped

    def wait(self) -> None:
        """Wait until everything has ended."""
        while self._tickets or (self._hungry and self._stock and self._open):
            self._idle(self._watch_s)
            if self.stopped:
                self._give_up()  # also what was asked just when it was stopped

    def over(self, *, complete: bool) -> Drive:
        return Drive(
            recorded=tuple(sorted(self._recorded, key=_due)),
            begun_ns=self.begun_ns,
            ended_ns=max((one.ended_ns for one in self._recorded), default=self.begun_ns),
            before=self._before,
            after=self._engine.vitals(),
            complete=complete,
            cut=self.cut,
        )

    @property
    def _open(self) -> bool:
        """Whether what ends is followed by another."""
        until_ns = self._until_ns
        return (
            self._following
            and not self.stopped
            and (until_ns is None or time.monotonic_ns() < until_ns)
        )

    def _landed(self, ticket: Ticket) -> None:
        """Take in what has ended, and let another follow; in the thread of the engine."""
        if ticket.recorded is not None:
            self._recorded.append(ticket.recorded)
        if self._open:
            try:
                self.hand_over(self._stock.popleft())
            except IndexError:
                if not self._used_up:
                    self._hungry.append(None)
            except WireError as error:
                self._failure = error
        del self._tickets[ticket.id]  # now that the next one is there, or asked for
        if (
            len(self._stock) == self._low
            or self._hungry
            or self._failure is not None
            or not self._tickets
        ):
            self._bell.ring()

    def _feed(self) -> None:
        """Let another follow where the stock was empty."""
        while self._hungry and self._open:
            try:
                ticket = self._stock.popleft()
            except IndexError:  # the next one prepared will do
                return
            self._hungry.popleft()
            self.hand_over(ticket)

    def _idle(self, seconds: float) -> None:
        """Sleep until there is something to do, or so long."""
        if self._bell.wait(seconds):
            self._bell.hush()
        self._attend()

    def _attend(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._feed()
        now = time.monotonic()
        if now >= self._look_at and not self.stopped:
            self._look_at = now + self._watch_s
            self._look()

    def _look(self) -> None:
        enough = self._enough
        self.cut = enough is not None and enough(self._recorded, [*self._tickets.values()])
        if self.cut or self._stop.is_set():
            self._give_up()

    def _give_up(self) -> None:
        self.stopped = True
        for ticket in list(self._tickets.values()):
            ticket.cancel()


def _due(recorded: Recorded) -> tuple[int, int]:
    return recorded.due_ns, recorded.started_ns
