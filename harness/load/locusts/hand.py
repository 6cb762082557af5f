"""One process's part of a run: its engine, its users' requests, its rows."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import gevent
from locust.exception import StopUser

from harness.load.journal.parsing import pack
from harness.load.locusts.ahead import Ahead, Asking
from harness.load.locusts.clerk import Clerk
from harness.load.locusts.counting import ASKED
from harness.load.locusts.errorbar import ErrorBar
from harness.load.locusts.mailbox import Mailbox
from harness.load.locusts.orders import trusted_said, vitals_said
from harness.load.locusts.relay import Relay, answered
from harness.load.locusts.table import Table
from harness.load.workload.arrival import part
from harness.wire import WireError
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.env import Environment

    from harness.load.journal.batches import Read
    from harness.load.locusts.ahead import Turn
    from harness.load.locusts.orders import Orders
    from harness.load.profiles import Plan
    from harness.wire.engine import Lags, Recorded, Ticket

_S = 1e9
_AHEAD_S = 0.5
"""How early a scheduled request is handed to the engine, whose own loop then starts it."""
_AHEAD_EVERY_S = 0.1
"""How often requests of a closed loop are made ahead."""
_PAUSE_S = 0.25
"""How long a user waits who got no good status: not to hammer at a door that is shut."""
_WATCH_S = 0.02
_TOGETHER_S = 2.0
"""A Ctrl-C may arrive twice at once: from the terminal, and from the master."""

_log = logging.getLogger(__name__)


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
        self._orders, self._deliver = orders, deliver
        self._table = Table(environment)
        self._engine = LoadEngine(timeout_s=orders.timeout_s, max_in_flight=_most_in_flight())
        self._engine.start()
        self._mailbox = Mailbox()
        self._clerk = Clerk(self._packed, self._judged)
        self._trust = ErrorBar(self._engine, plan, orders, name=name) if orders.error_bar else None
        self._begun_ns: int | None = None
        self._ahead = Ahead(plan, orders, self._engine.prepare)
        self._relay = Relay(self._submit, self._landed, self._mailbox.post, self._at_s)
        self._keeper = gevent.spawn(self._keep_up)
        self._begun: WeakSet[Any] = WeakSet()
        self._source = random.Random(f"{orders.setting.seed}/stagger/{orders.index}")  # noqa: S311
        self._playing = False
        self._over = self._judging = False
        self._hurried_s: float | None = None

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
            "cut_short": self._relay.given_up,
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
        if self._relay.ending:
            raise StopUser
        if (early_s := -self._at_s()) > 0:
            gevent.sleep(min(early_s, 0.1))
            return
        if self.plan.arrivals is None:
            self._stagger()
            while not (stopping() or self._relay.ending):
                self._converse(stopping)
        else:
            self._follow(self.plan.arrivals())

    @property
    def trouble(self) -> str | None:
        """Why not all answers will be judged, where that is known already."""
        return self._clerk.trouble

    @property
    def progress(self) -> tuple[int, int]:
        """How many answers are judged, and how many there are."""
        return self._clerk.judged, self._clerk.taken

    def finish(
        self, *, abandon: bool, watch: Callable[[int, int], None] | None = None
    ) -> str | None:
        """Ask nothing more, wait for what is under way, or give it up, and judge all of it.

        Returns what went wrong, if something did. ``watch`` is told how far the judging is.
        """
        if self._over:
            return None
        self._relay.end()
        until_s = time.monotonic() + (0.0 if abandon else self._orders.timeout_s + 1.0)
        while self._relay.under_way and time.monotonic() < until_s and self._hurried_s is None:
            gevent.sleep(_WATCH_S)
        self._relay.give_up()
        self._relay.wait(5.0)
        self._keeper.kill()
        self._over = self._judging = True
        if self._trust is not None:
            self._trust.end()
        return self._clerk.close(watch)

    def hurry(self) -> None:
        """Cut `finish` short: give up what is under way, and if that is done, what is not judged.

        It only sets a flag, so that a handler of signals may call it.
        """
        now_s = time.monotonic()
        if self._hurried_s is None or now_s - self._hurried_s > _TOGETHER_S:
            self._hurried_s = now_s
            if self._judging:
                self._clerk.give_up()

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

    def _converse(self, stopping: Callable[[], bool]) -> None:
        """Play a conversation to its end, and others after it for as long as nobody has to wait."""
        asking = Asking(self._ahead, hold=lambda: self._clerk.full, stopping=stopping)
        asking.begin()
        while (turn := asking.next()) is not None:
            if turn.ask.think_s:
                gevent.sleep(turn.ask.think_s)
            while self._clerk.full:
                gevent.sleep(_PAUSE_S)
            if self._relay.ending:
                raise StopUser
            try:
                recorded = self._relay.play(turn, asking.at_once)
            except WireError as error:
                _log.error("%s", error)
                raise StopUser from error
            if not answered(recorded):
                gevent.sleep(_PAUSE_S)
                return

    def _keep_up(self) -> None:
        """Have requests ready for the engine's thread to ask."""
        while True:
            gevent.sleep(_AHEAD_EVERY_S)
            if self._begun_ns is not None and self.plan.arrivals is None:
                self._ahead.keep_up()

    # Open loop

    def _follow(self, arrivals: Any) -> None:
        begun_ns = self._begun_ns
        if self._playing or begun_ns is None:  # one user a process plays them all
            raise StopUser
        self._playing = True
        for number, at_s in part(arrivals, index=self._orders.index, of=self._orders.of):
            due_ns = begun_ns + round(at_s * _S)
            gevent.sleep(max(0.0, (due_ns - time.monotonic_ns()) / _S - _AHEAD_S))
            if self._relay.ending:
                raise StopUser
            try:
                self._relay.schedule(self._ahead.turn(number), due_ns, at_s)
            except WireError as error:
                _log.error("%s", error)
                raise StopUser from error
        self._relay.wait(self._orders.timeout_s)
        raise StopUser

    # Both

    def _submit(self, turn: Turn, due_ns: int | None) -> Ticket:
        if turn.ticket is None:
            return self._engine.submit(turn.request, scheduled_ns=due_ns)
        turn.ticket.scheduled_ns = due_ns
        self._engine.hand_over(turn.ticket)
        return turn.ticket

    def _landed(self, recorded: Recorded, turn: Turn, at_s: float) -> None:
        self._clerk.take(recorded, turn, at_s)

    def _packed(self, recorded: Recorded, turn: Turn, at_s: float) -> tuple[bytes, bytes]:
        labels = {**turn.ask.labels, "step": str(self.plan.step(at_s))}
        if turn.tokens is not None:
            labels[ASKED] = str(turn.tokens)
        level, name = self.plan.level(at_s), turn.ask.model
        return pack(recorded, number=turn.number, name=name, load=level, labels=labels)

    def _judged(self, batch: Read) -> None:
        """Show rows in Locust's table and pass them on."""
        self._table.show(batch)
        self._deliver(batch.rows)

    def _at_s(self) -> float:
        """Seconds since the beginning; as long as nobody has said when that is, just before it."""
        return -1.0 if self._begun_ns is None else (time.monotonic_ns() - self._begun_ns) / _S


def _most_in_flight() -> int:
    import resource  # noqa: PLC0415 - not on every platform

    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(256, min(16_384, allowed - 512)) if allowed > 0 else 16_384
