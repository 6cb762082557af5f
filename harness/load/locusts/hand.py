"""One process's part of a run: its engine, its users' requests, its rows."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import gevent
from gevent.event import Event
from locust.exception import StopUser

from harness.load.journal.parsing import pack
from harness.load.locusts.clerk import Clerk
from harness.load.locusts.errorbar import ErrorBar
from harness.load.locusts.mailbox import Mailbox
from harness.load.locusts.orders import trusted_said, vitals_said
from harness.load.workload.arrival import part
from harness.wire import End, WireError
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.env import Environment

    from harness.load.locusts.clerk import Judged
    from harness.load.locusts.orders import Orders
    from harness.load.profiles import Ask, Plan
    from harness.wire.engine import Lags, Recorded, Ticket

_S = 1e9
_AHEAD_S = 0.5
"""How early a scheduled request is handed to the engine, whose own loop then starts it."""
_PAUSE_S = 0.25
"""How long a user waits who got no good status: not to hammer at a door that is shut."""
_JUDGED_WITHIN_S = 120.0
PHASES = {"TTFT": "ttft_ms", "ITL": "itl_ms", "TPOT": "tpot_ms", "E2E": "e2e_ms"}
"""Locust's rows, and the field of `Met` each shows."""

_log = logging.getLogger(__name__)


class BrokenAnswerError(Exception):
    """An answer that is not whole; the text says what is missing."""


class Hand:
    """Plays one process's share of a run.

    ``deliver`` gets every row as a line of JSON, in the order in which requests ended.
    """

    def __init__(
        self,
        environment: Environment,
        orders: Orders,
        plan: Plan,
        deliver: Callable[[list[bytes]], None],
        *,
        name: str = "client",
    ) -> None:
        self.plan = plan
        self._environment, self._orders, self._deliver = environment, orders, deliver
        self._engine = LoadEngine(timeout_s=orders.timeout_s, max_in_flight=_most_in_flight())
        self._engine.start()
        self._mailbox = Mailbox()
        self._clerk = Clerk(self._judged)
        self._trust = ErrorBar(self._engine, plan, orders, name=name) if orders.error_bar else None
        self._begun_ns: int | None = None
        self._conversations = 0
        self._tickets: dict[str, Ticket] = {}
        self._idle = Event()
        self._idle.set()
        self._begun: WeakSet[Any] = WeakSet()
        self._source = random.Random(f"{orders.setting.seed}/stagger/{orders.index}")  # noqa: S311
        self._playing = False
        self._ending = self._over = False
        self.cut_short = 0
        """Requests given up because the run was over."""

    def start(self, begun_unix_ns: int) -> None:
        """Let the users begin at that moment."""
        if self._trust is not None:
            self._trust.begin()
        self._begun_ns = time.monotonic_ns() + begun_unix_ns - time.time_ns()

    def told(self) -> dict[str, Any]:
        """What there is to say of it in the end, ready for a message."""
        bar = None if self._trust is None else trusted_said(self._trust.judge(self.receive_lag))
        return {
            "vitals": vitals_said(self._engine.vitals()),
            "cut_short": self.cut_short,
            "error_bar": bar,
        }

    @property
    def receive_lag(self) -> Lags:
        """How long reads lay in the kernel; known once it has finished."""
        return self._clerk.receive_lag

    def play(self, stopping: Callable[[], bool]) -> None:
        """What a user does until it is ``stopping``: conversations, one after another.

        In an open loop one user plays all arrivals of this process.

        Raises:
            StopUser: there is nothing more to do.
        """
        if self._ending:
            raise StopUser
        if (early_s := -self._at_s()) > 0:
            gevent.sleep(min(early_s, 0.1))
            return
        if self.plan.arrivals is None:
            self._stagger()
            while not stopping():
                self._converse()
        else:
            self._follow(self.plan.arrivals())

    def finish(self, *, abandon: bool) -> str | None:
        """Ask nothing more, wait for what is under way, or give it up, and judge all of it.

        Returns what went wrong, if something did.
        """
        if self._over:
            return None
        self._ending = True
        if not abandon:
            self._idle.wait(self._orders.timeout_s + 1.0)
        for ticket in list(self._tickets.values()):
            ticket.cancel()
            self.cut_short += 1
        self._idle.wait(5.0)
        self._over = True
        if self._trust is not None:
            self._trust.end()
        judged = self._clerk.close(_JUDGED_WITHIN_S)
        return None if judged else "not all answers were judged: the child that does it failed"

    def close(self) -> None:
        """Stop the engine."""
        if self._trust is not None:
            self._trust.close()
        self._engine.close()
        self._mailbox.close()

    # Closed loop

    def _stagger(self) -> None:
        """Users that start together go on in step: each begins at random within a while."""
        user = gevent.getcurrent()
        if user not in self._begun:
            self._begun.add(user)
            gevent.sleep(self._source.uniform(0.0, self.plan.stagger_s))

    def _converse(self) -> None:
        conversation = self._conversations * self._orders.of + self._orders.index
        self._conversations += 1
        for turn in range(self.plan.turns):
            number = self._orders.first + conversation * self.plan.turns + turn
            ask = self.plan.ask(number)
            if turn and ask.think_s:
                gevent.sleep(ask.think_s)
            if self._ending:
                raise StopUser
            if not self._ask(number, ask):
                gevent.sleep(_PAUSE_S)
                return

    def _ask(self, number: int, ask: Ask) -> bool:
        at_s = self._at_s()
        ticket = self._submit(ask)
        try:
            recorded = self._mailbox.wait(ticket)
        except BaseException:  # Locust kills the greenlet of a user it stops
            if ticket.recorded is None:
                ticket.cancel()
                self.cut_short += 1
            self._forget(ticket)
            raise
        self._hand_on(recorded, number, ask, at_s)
        self._forget(ticket)
        return _answered(recorded)

    # Open loop

    def _follow(self, arrivals: Any) -> None:
        begun_ns = self._begun_ns
        if self._playing or begun_ns is None:  # one user a process plays them all
            raise StopUser
        self._playing = True
        for number, at_s in part(arrivals, index=self._orders.index, of=self._orders.of):
            due_ns = begun_ns + round(at_s * _S)
            gevent.sleep(max(0.0, (due_ns - time.monotonic_ns()) / _S - _AHEAD_S))
            if self._ending:
                raise StopUser
            ask = self.plan.ask(number)
            ticket = self._submit(ask, due_ns)
            self._mailbox.call(ticket, self._landed(number, ask, at_s))
        self._idle.wait(self._orders.timeout_s)
        raise StopUser

    def _landed(self, number: int, ask: Ask, at_s: float) -> Callable[[Ticket], None]:
        def land(ticket: Ticket) -> None:
            gevent.spawn(take, ticket)

        def take(ticket: Ticket) -> None:
            if ticket.recorded is not None:
                self._hand_on(ticket.recorded, number, ask, at_s)
            self._forget(ticket)

        return land

    # Both

    def _submit(self, ask: Ask, due_ns: int | None = None) -> Ticket:
        request = ask.request(self._orders.base_url, key=self._orders.key)
        try:
            ticket = self._engine.submit(request, scheduled_ns=due_ns)
        except WireError as error:
            _log.error("%s", error)
            raise StopUser from error
        self._tickets[ticket.id] = ticket
        self._idle.clear()
        return ticket

    def _forget(self, ticket: Ticket) -> None:
        self._tickets.pop(ticket.id, None)
        if not self._tickets:
            self._idle.set()

    def _hand_on(self, recorded: Recorded, number: int, ask: Ask, at_s: float) -> None:
        if self._ending and recorded.end is End.CANCELLED:
            return  # by us
        labels = {**ask.labels, "step": str(self.plan.step(at_s))}
        level = self.plan.level(at_s)
        self._clerk.take(pack(recorded, number=number, name=ask.model, load=level, labels=labels))

    def _judged(self, rows: list[Judged]) -> None:
        """Show rows in Locust's table and pass them on."""
        for row in rows:
            self._show(row.said, row.size)
        self._deliver([row.line for row in rows])

    def _show(self, said: dict[str, Any], size: int) -> None:
        met, name = said["met"], said["name"]
        fire = self._environment.events.request.fire
        for phase, value in PHASES.items():
            if value in met:
                fire(
                    request_type=phase,
                    name=name,
                    response_time=met[value],
                    response_length=size,
                    exception=None,
                    context={},
                )
        if not met["whole"]:
            fire(
                request_type="E2E",
                name=name,
                response_time=(said["ended_unix_ns"] - said["due_unix_ns"]) / 1e6,
                response_length=size,
                exception=BrokenAnswerError(f"{said['failure']}: {met['why']}"),
                context={},
            )

    def _at_s(self) -> float:
        """Seconds since the beginning; as long as nobody has said when that is, just before it."""
        return -1.0 if self._begun_ns is None else (time.monotonic_ns() - self._begun_ns) / _S


def _answered(recorded: Recorded) -> bool:
    """Whether the status was 200, as far as the first read tells; nothing else is parsed here."""
    pieces = recorded.tape.pieces
    return bool(pieces) and pieces[0][9:12] == b"200"


def _most_in_flight() -> int:
    import resource  # noqa: PLC0415 - not on every platform

    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(256, min(16_384, allowed - 512)) if allowed > 0 else 16_384
