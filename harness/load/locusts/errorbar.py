"""The client of one process, measured before its load and beside it."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import TYPE_CHECKING

from harness.load.trust import Trust

if TYPE_CHECKING:
    from harness.load.locusts.orders import Orders
    from harness.load.profiles import Plan
    from harness.load.trust import Trusted
    from harness.wire.engine import Lags, LoadEngine

_MOST_STREAMS = 2048
"""Streams the client is measured at, at most: above it the reference server needs the machine."""
_GUESSED_S = 1.0
"""How long an answer is taken to last where an open loop does not say how many are under way."""


class ErrorBar:
    """Holds an engine against a server whose timing is known; measured as it is made."""

    def __init__(self, engine: LoadEngine, plan: Plan, orders: Orders, *, name: str) -> None:
        level = plan.most * (_GUESSED_S if plan.open else 1.0) / orders.of
        streams = max(1, min(_MOST_STREAMS, math.ceil(level)))
        self._all, self._load = ExitStack(), ExitStack()
        self._trust = self._all.enter_context(
            Trust(engine, streams=streams, rate=orders.tokens_per_s, name=name)
        )
        self._trust.before()

    def begin(self) -> None:
        """The load begins."""
        self._load.enter_context(self._trust.during())

    def end(self) -> None:
        """The load is over."""
        self._load.close()

    def judge(self, receive_lag: Lags) -> Trusted:
        """What may be said of its figures; ``receive_lag`` is that of the load's own answers."""
        return self._trust.judge(receive_lag=receive_lag)

    def close(self) -> None:
        """Stop the server."""
        self._load.close()
        self._all.close()
