"""The error bar of a load: its client measured before and beside it, and judged."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from harness.load.driving import closed
from harness.load.trust.errors import Errors, Signs, errors, receive_lags, signs
from harness.load.trust.judging import Limits, Trusted, believable, judge
from harness.load.trust.reference import Reference, TrustError
from harness.load.trust.search import LEAST, MOST, Safe, remember, remembered, search
from harness.load.trust.sentinel import STREAMS, Sentinel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from harness.wire.engine import Lags, LoadEngine

FEW_TOKENS = 16
"""Mean length of reference answers where there are fewer streams than `LEAST_ANSWERS`."""
LEAST_ANSWERS = 8
"""However few the streams, so many answers of mean length are measured."""
LEAST_RATE = 4.0
"""Tokens a second below which a client is measured at this rate: slower ones cost time only."""
SECONDS = 1.5
"""How long reference answers are asked for at one level; those under way are then waited for."""


class Trust:
    """Says whether ``engine`` measures right at ``streams`` streams of ``rate`` tokens a second.

    ``streams`` is what this process will have under way at once, ``rate`` what one answer of the
    load brings a second. ``name`` tells workers apart in evidence; ``folder`` is where the safe
    streams of this machine are remembered (default: the cache of the harness).

    It raises nothing about the client or the reference server: what could not be measured makes
    the verdict inconclusive, with the reason.

    Raises:
        ValueError: no streams, or a rate that is none.
    """

    def __init__(
        self,
        engine: LoadEngine,
        *,
        streams: int,
        rate: float,
        name: str = "client",
        limits: Limits | None = None,
        seed: int = 1,
        folder: Path | None = None,
    ) -> None:
        if not rate > 0:
            raise ValueError(f"a rate of {rate} tokens a second: give more than 0")
        self._engine, self._streams, self._rate = engine, streams, max(rate, LEAST_RATE)
        self._name, self._limits, self._seed = name, limits or Limits(), seed
        self._folder = folder
        tokens = min(FEW_TOKENS, max(4, round(self._rate))) if streams < LEAST_ANSWERS else None
        self._reference = Reference(rate=self._rate, streams=streams, tokens=tokens, seed=seed)
        self._running = False
        self._first = 0
        self._before: Errors | None = None
        self._during: Errors | None = None
        self._signs: Signs | None = None
        self._why_not = ""

    def __enter__(self) -> Self:
        try:
            self._reference.__enter__()
            self._running = True
        except TrustError as error:
            self._why_not = str(error)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running = False
        self._reference.close()

    @property
    def safe(self) -> Safe | None:
        """How many streams one process carries here, as far as it is known."""
        return remembered(self._rate, folder=self._folder)

    def before(self, *, seconds: float = SECONDS) -> Errors | None:
        """Measure the client on reference answers alone; before the load.

        If it is wrong, it is measured once more, and if it is wrong again the streams that it
        does carry are looked for, so that the verdict can name them. None: not measured.
        """
        self._before = found = self.measure(self._streams, seconds)
        right = believable(found, self._limits)
        if found is not None and not right:
            self._before = found = self.measure(self._streams, seconds) or found
            right = believable(found, self._limits)
        if right is not None:
            self._remember(right=right)
        return found

    @contextmanager
    def during(self, *, streams: int = STREAMS) -> Iterator[None]:
        """Measure it beside the load that is played within the block."""
        sentinel = Sentinel(self._engine, self._reference, streams=streams)
        before, begun_ns = self._engine.vitals(), time.monotonic_ns()
        if self._running:
            sentinel.start()
        try:
            yield
        finally:
            after, ended_ns = self._engine.vitals(), time.monotonic_ns()
            self._signs = signs(before, after, seconds=(ended_ns - begun_ns) / 1e9)
            recorded = sentinel.stop()
            self._why_not = self._why_not or sentinel.failure
            try:
                if self._running:
                    self._during = errors(
                        recorded,
                        self._reference.ledger(),
                        streams=streams,
                        rate=self._rate,
                        signs=self._signs,
                    )
            except TrustError as error:
                self._why_not = str(error)

    def judge(self, *, receive_lag: Lags | None = None) -> Trusted:
        """Judge the client, after the load; ``receive_lag`` is that of the load's own answers."""
        own = self._signs
        if own is not None and receive_lag is not None:
            own = Signs(
                loop_lag=own.loop_lag,
                dispatch_lag=own.dispatch_lag,
                receive_lag=receive_lag,
                cpu_s=own.cpu_s,
                seconds=own.seconds,
            )
        return judge(
            self._before,
            self._during,
            own,
            rate=self._rate,
            safe=self.safe,
            limits=self._limits,
            name=self._name,
            why_not=self._why_not,
        )

    def search(self, *, least: int = LEAST, most: int = MOST, seconds: float = SECONDS) -> Safe:
        """Find the streams that this client carries here, and remember them.

        Raises:
            ValueError: ``least`` and ``most`` leave nothing to try.
        """

        def right(streams: int) -> bool | None:
            return believable(self.measure(streams, seconds), self._limits)

        found = search(right, rate=self._rate, least=least, most=most)
        remember(found, folder=self._folder)
        return found

    def _remember(self, *, right: bool) -> None:
        known = self.safe
        if right and (known is None or known.streams < self._streams):
            here = search(lambda _: True, rate=self._rate, least=self._streams, most=self._streams)
            remember(here, folder=self._folder)
        elif not right and (known is None or known.streams >= self._streams) and self._streams > 1:
            least = min(LEAST, self._streams // 2)
            self.search(least=least, most=self._streams - 1)

    def measure(self, streams: int, seconds: float = SECONDS) -> Errors | None:
        """Measure the client on reference answers at so many streams; None: not measured."""
        if not self._running:
            return None
        reference = self._reference
        try:
            drive = closed(
                self._engine,
                reference.make,
                users=streams,
                seconds=max(seconds, LEAST_ANSWERS * reference.answer_s() / streams),
                stagger_s=reference.answer_s(),
                seed=self._seed,
                first=self._first,
            )
            ledger = reference.ledger()
        except TrustError as error:
            self._why_not = str(error)
            return None
        self._first += len(drive.recorded)
        own = signs(
            drive.before,
            drive.after,
            seconds=drive.seconds,
            receive_lag=receive_lags(drive.recorded),
        )
        return errors(drive.recorded, ledger, streams=streams, rate=self._rate, signs=own)
