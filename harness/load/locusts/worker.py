"""A worker's side of a distributed run: orders in, rows out in Locust's own reports."""

from __future__ import annotations

import logging
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

from harness.load.locusts.hand import Hand
from harness.load.locusts.orders import DONE, READY, ROWS, Orders
from harness.load.profiles import SettingError
from harness.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locust.env import Environment

    from harness.load.profiles import Profile

_ROWS_A_MESSAGE = 2000
_TELLING_S = 1.0
_log = logging.getLogger(__name__)


class Worker:
    """Plays what the master orders, one run after another."""

    def __init__(self, environment: Environment, profiles: Mapping[str, Profile]) -> None:
        self.hand: Hand | None = None
        self._environment, self._profiles = environment, profiles
        self._rows: deque[bytes] = deque()
        self._handed_in = 0
        self._trouble: str | None = None
        self._ending: Hand | None = None
        """Whose last answers are waited for."""

    def begin(self, msg: Any, **_: Any) -> None:
        """Get ready for a run."""
        self._rows.clear()
        self._handed_in, self._trouble = 0, None
        orders = Orders.load(msg.data)
        try:
            plan = orders.plan(self._profiles)
            name = f"worker-{orders.index}"
            self.hand = Hand(self._environment, orders, plan, self._rows.extend, name=name)
        except (SettingError, WireError) as error:
            self._trouble = str(error)
            _log.error("%s", error)

        self._send(READY, {})

    def start(self, msg: Any, **_: Any) -> None:
        """Begin when the master says."""
        if self.hand is not None:
            self.hand.start(msg.data["begun_unix_ns"])

    def report(self, data: dict[str, Any], **_: Any) -> None:
        """Put rows into one of Locust's reports."""
        data["harness_rows"] = self._some()
        if self.hand is not None and self.hand.trouble:
            data["harness_trouble"] = self.hand.trouble

    def finish(self, msg: Any, **_: Any) -> None:
        """End the run: hand in the last rows, and say that they were the last; or hurry with it."""
        if msg.data.get("hurry"):
            self.interrupt()
        else:
            self._end(abandon=bool(msg.data["abandon"]))

    def interrupt(self) -> bool:
        """Ctrl-C: cuts the end of a run short; False if none is ending."""
        ending = self._ending
        if ending is not None:
            ending.hurry()
        return ending is not None

    def stopping(self, **_: Any) -> None:
        """Locust stops this worker, whether the master has said so before or not."""
        self._end(abandon=True)

    def _end(self, *, abandon: bool) -> None:
        hand, self.hand = self.hand, None
        if hand is None and self._trouble is None:
            return
        done: dict[str, Any] = {"trouble": self._trouble}
        if hand is not None:
            self._ending, over = hand, Event()
            telling = gevent.spawn(self._tell, hand, over)
            done["trouble"] = hand.finish(abandon=abandon)
            over.set()
            telling.join()  # killed, it might take rows that it had not sent with it
            self._ending = None
            done |= hand.told()
            hand.close()
        while self._rows:
            self._send(ROWS, {"harness_rows": self._some()})
        self._send(DONE, {"harness_done": done | {"rows": self._handed_in}})
        self._trouble = None

    def _tell(self, hand: Hand, over: Event) -> None:
        """Tell the master how far the judging is, which makes it wait, and hand rows in."""
        while not over.wait(_TELLING_S):
            self._send(ROWS, {"harness_rows": self._some(), "harness_judged": hand.progress})

    def _send(self, kind: str, said: dict[str, Any]) -> None:
        runner = self._environment.runner
        if runner is not None:
            runner.send_message(kind, said)

    def _some(self) -> list[bytes]:
        taken = list(islice(self._rows, _ROWS_A_MESSAGE))
        for _ in taken:
            self._rows.popleft()
        self._handed_in += len(taken)
        return taken
