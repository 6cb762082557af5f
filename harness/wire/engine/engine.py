"""The engine as its users see it: started, asked, watched and closed."""

from __future__ import annotations

import os
import resource
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

from harness.wire._shared import checked_timeout, new_id
from harness.wire.engine.interpreter import quiet
from harness.wire.engine.loop import Loop
from harness.wire.engine.natives import start_thread, thread
from harness.wire.engine.ticket import Ticket
from harness.wire.http1 import WireError, endpoint, serialise

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import TracebackType

    from harness.wire.engine.lags import Lags
    from harness.wire.exchange import Request

_SPARE_DESCRIPTORS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """How the engine itself fares; what a run must be judged by before its figures are."""

    loop_lag: Lags
    """From the poller's report to the last event of it served, once an event: an upper bound.

    Time in which the thread was ready and did not run is not in it: see
    `Recorded.receive_lags_ns` and ``dispatch_lag``."""
    dispatch_lag: Lags
    """From the scheduled moment (or the hand-over) to the start, once an exchange."""
    exchanges: int
    """Ended, however they ended."""
    in_flight: int
    most_in_flight: int
    queued: int
    """Not started: scheduled for later, or above ``max_in_flight``."""
    idle: int
    """Connections that wait for another exchange."""
    opened: int
    """Connections opened; the other exchanges found an idle one."""
    cpu_s: float | None
    """CPU time of the engine's thread; None where the platform does not tell."""
    slice_ns: int | None = None
    """Length of its slices of the processor; None where they could not be shortened
    (`harness.wire.engine.slices`), and busy neighbours then delay it more."""


class LoadEngine:
    """Sends requests from a thread of its own and records what comes back.

    The thread holds one loop over non-blocking sockets. While exchanges run it keeps bytes and
    stamps and parses nothing but where an answer ends (`harness.wire.engine.framing`), so that
    its own work does not bend what it measures.

    ``timeout_s`` is the deadline of one exchange from its start. Above ``max_in_flight``
    requests wait, and their wait is in their dispatch lag; above ``max_queued`` `submit`
    refuses. An answer of more than ``max_answer_bytes`` is cut off as ``End.CANCELLED``; so are
    the longest where those under way pass ``max_kept_bytes`` together, which is looked at four
    times a second. What has ended is the caller's to drop.

    With ``keep_alive`` an answer ends with its framing and the connection serves the next request
    for the same host and port, unless it lay idle for ``idle_s`` (below the servers' own limits, or
    they close it just as it is used). Some servers close each after its answer all the same: until
    one of a host has served twice, a connection rests for ``rest_s`` before it is used again, so
    that the close is seen first; and once it was seen, each request has its own. Without it the
    contract is that of `harness.wire.RecordingClient`: one connection a request, until the peer
    closes. ``trust`` says whose certificates are accepted; default: those the system trusts. A host
    name is looked up once and not again.

    The thread shares its interpreter with the callers: what they compute meanwhile, and the
    garbage they make, delays it. Kernel stamps stay right until a read brings two events, and
    then the events say so; parse afterwards, and let each worker process have an engine.

    With many streams in flight the loop lets arrivals gather for ``gather_s`` before it reads
    them, which halves what waiting costs; the kernel stamps them meanwhile. Where it does not
    stamp, nothing gathers. While the loop is behind, reading goes before starting: what is read
    late merges, what starts late has a dispatch lag that says so. Its thread asks for short slices
    of the processor (`harness.wire.engine.slices`), so that busy neighbours do not keep it waiting;
    `Vitals.slice_ns` says whether it got them. From start to close the interpreter is kept `quiet`
    (`harness.wire.engine.interpreter`), for the whole process.

    Fork first and start afterwards: a thread does not survive a fork.

    Raises:
        WireError: a limit makes no sense, or the process may not open that many descriptors.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 60.0,
        max_in_flight: int = 4096,
        max_queued: int = 1_000_000,
        max_answer_bytes: int = 16 << 20,
        max_kept_bytes: int = 1 << 30,
        keep_alive: bool = True,
        idle_s: float = 2.0,
        rest_s: float = 0.05,
        gather_s: float = 0.0005,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        for name, value in (
            ("max_in_flight", max_in_flight),
            ("max_queued", max_queued),
            ("max_answer_bytes", max_answer_bytes),
            ("max_kept_bytes", max_kept_bytes),
            ("idle_s", idle_s),
        ):
            if not value > 0:
                raise WireError(f"{name} is {value}: give more than 0.")
        for name, value in (("rest_s", rest_s), ("gather_s", gather_s)):
            if not 0 <= value < 1:
                raise WireError(f"{name} is {value}: give seconds from 0 (off) to below 1.")
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if allowed != resource.RLIM_INFINITY and max_in_flight + _SPARE_DESCRIPTORS > allowed:
            raise WireError(
                f"{max_in_flight} exchanges in flight need more than the {allowed} descriptors "
                "this process may open. Lower max_in_flight, or raise the limit: `ulimit -n`."
            )
        self._timeout_s = checked_timeout(timeout_s)
        self._max_queued = max_queued
        self._keep = keep_alive
        self._pid = self._thread = 0
        self._closed = False
        self._running: Loop | None = None
        self._quiet = ExitStack()
        self._make_loop = partial(
            Loop,
            max_in_flight=max_in_flight,
            max_answer_bytes=max_answer_bytes,
            max_kept_bytes=max_kept_bytes,
            keep=keep_alive,
            idle_s=idle_s,
            rest_s=rest_s,
            gather_s=gather_s,
            trust=trust,
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Start the thread and wait until it runs. An engine starts once."""
        if self._running is not None:
            raise WireError("this engine was started before: make another one.")
        self._pid = os.getpid()
        self._running = loop = self._make_loop()
        self._thread = start_thread(loop.run)
        loop.ready.wait(None)
        loop.ready.hush()
        self._quiet.enter_context(quiet())
        return self

    def submit(
        self,
        request: Request,
        *,
        scheduled_ns: int | None = None,
        timeout_s: float | None = None,
        labels: Mapping[str, str] | None = None,
        id: str | None = None,  # noqa: A002 - the field of Exchange it becomes
    ) -> Ticket:
        """Hand ``request`` over and return at once; from any thread.

        ``scheduled_ns`` (CLOCK_MONOTONIC) is the moment it is to start; one in the past starts
        at once, and its dispatch lag tells. ``timeout_s`` overrides the engine's.

        Raises:
            WireError: the request cannot be sent as asked, the queue is full, or the engine
                does not run. Nothing was sent.
        """
        ticket = self.prepare(
            request, scheduled_ns=scheduled_ns, timeout_s=timeout_s, labels=labels, id=id
        )
        self.hand_over(ticket)
        return ticket

    def prepare(
        self,
        request: Request,
        *,
        scheduled_ns: int | None = None,
        timeout_s: float | None = None,
        labels: Mapping[str, str] | None = None,
        id: str | None = None,  # noqa: A002 - the field of Exchange it becomes
    ) -> Ticket:
        """Make what `hand_over` takes: all that can be done before ``request`` is due.

        Raises:
            WireError: the request cannot be sent as asked.
        """
        return Ticket(
            request,
            payload=serialise(request, keep=self._keep),
            where=endpoint(request.url),
            id=id or new_id(),
            labels=dict(labels or {}),
            scheduled_ns=scheduled_ns,
            timeout_s=self._timeout_s if timeout_s is None else checked_timeout(timeout_s),
            give_up=self._give_up,
        )

    def hand_over(self, *tickets: Ticket) -> None:
        """Hand prepared ``tickets`` over, each once, and return at once; from any thread.

        Within a callback of a ticket, which runs in the thread of the engine, it costs next to
        nothing: that is how one request follows upon the end of another without delay.

        Raises:
            WireError: the queue is full, the engine does not run, or one of them was handed over
                before. Nothing was sent.
        """
        loop = self._loop
        self._refuse_unless_running()
        if any(ticket.submitted_ns for ticket in tickets):
            raise WireError("a ticket is handed over once: prepare another one.")
        if loop.queued + len(tickets) > self._max_queued:
            raise WireError(
                f"{loop.queued} requests wait already: the load is above what the server "
                "and max_in_flight let through. Lower the rate, or raise max_queued."
            )
        moment = time.monotonic_ns()
        for ticket in tickets:
            ticket.submitted_ns = moment
        if thread() == self._thread:
            loop.take(tickets)
            return
        loop.post(partial(loop.take, tickets))
        if loop.stopped:  # it stopped between the question and the hand-over
            for ticket in tickets:
                self._give_up(ticket)

    def vitals(self) -> Vitals:
        """Tell how the engine fares at this moment; from any thread."""
        loop = self._loop
        return Vitals(
            loop_lag=loop.loop_lag.copy(),
            dispatch_lag=loop.dispatch_lag.copy(),
            exchanges=loop.exchanges,
            in_flight=loop.in_flight,
            most_in_flight=loop.most_in_flight,
            queued=loop.queued,
            idle=loop.idle,
            opened=loop.opened,
            cpu_s=self._cpu_s(),
            slice_ns=loop.slice_ns,
        )

    def close(self) -> None:
        """Stop the thread and wait for it. What has not ended ends as ``End.CANCELLED``."""
        if self._running is not None and self._pid == os.getpid() and not self._closed:
            self._closed = True
            self._running.post(self._running.stop)
            self._running.ready.wait(None)
            self._running.ready.close()
            self._quiet.close()

    @property
    def _loop(self) -> Loop:
        if self._running is None:
            raise WireError("the engine does not run: write `with LoadEngine() as engine`.")
        return self._running

    def _give_up(self, ticket: Ticket) -> None:
        if self._loop.stopped:
            self._loop.give_up(ticket)  # nobody else will
        else:
            self._loop.post(lambda: self._loop.give_up(ticket))

    def _cpu_s(self) -> float | None:
        if self._loop.stopped or not hasattr(time, "pthread_getcpuclockid"):
            return self._loop.cpu_s
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread))

    def _refuse_unless_running(self) -> None:
        if self._pid != os.getpid():
            raise WireError(
                "the engine was started before this process was forked, and its thread stayed "
                "in the parent. Start it after the fork."
            )
        if self._loop.stopped:
            why = f": {self._loop.failure!r}" if self._loop.failure else ""
            raise WireError(f"the engine has stopped{why}. Start another one.")
