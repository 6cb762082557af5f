"""A target under load, for commands that measure it themselves: asked, trusted, written down."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, ExitStack, suppress
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from harness import answer as answers
from harness.evidence import Verdict
from harness.load.driving import closed, scheduled
from harness.load.finding.level import Stretch, grows
from harness.load.finding.looking import Looks, given_up
from harness.load.goodput import met
from harness.load.journal.journal import Facts, Writer, row_of
from harness.load.locusts.orders import vitals_said
from harness.load.target import LoadError
from harness.load.timing import timing
from harness.load.trust import Trust, receive_lags
from harness.load.workload.arrival import poisson, steady
from harness.load.workload.tokenizer import TokenizerError
from harness.wire import End, WireError
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from harness.load.driving import Drive
    from harness.load.goodput import Met, Objective
    from harness.load.target import Target
    from harness.wire.engine import Recorded, Ticket

WARM_UP = 0.25
"""Of the time that is measured: first the queues must come to what they are at this level."""
_NS = 1e9
_TRIES = 3
_WATCH_S = 0.2
"""How long a stop may go unseen."""
_FILLED = 1.25
"""Of the time of an answer: then as many are under way as the level brings with it."""
_BATCH = 1_000_000
"""Numbers that a batch of requests has to itself."""


class Session(AbstractContextManager["Session"]):
    """One engine and its error bar, loading targets stretch by stretch into one journal.

    Enter it to ask every target once, which raises `LoadError` where one gives no whole answer,
    and to measure the client; only then ``folder`` is written to. ``stop`` set from another
    thread ends the stretch that is played.
    """

    def __init__(
        self,
        *targets: Target,
        folder: Path,
        facts: Facts | None,
        part: str = "0",
        streams: int = 32,
        timeout_s: float = 120.0,
        stop: threading.Event | None = None,
    ) -> None:
        self.targets = targets
        self.stop = stop or threading.Event()
        self.notes: dict[str, Any] = {}
        """What there is to say of the client, for the facts of the journal; known at its end."""
        self._folder, self._facts, self._part = folder, facts, part
        self._streams = streams
        self._timeout_s = timeout_s
        self._number = 0
        self._answers_s: dict[float, float] = {}
        """How long an answer takes, by level; 0 is a target that does nothing else."""
        self._exit = ExitStack()
        self._engine: LoadEngine
        self._trust: Trust
        self._writer: Writer

    def __enter__(self) -> Self:
        with ExitStack() as entering:
            engine = entering.enter_context(LoadEngine(timeout_s=self._timeout_s))
            self._engine = engine
            rate = min(self._asked(target) for target in self.targets)
            self._trust = entering.enter_context(Trust(engine, streams=self._streams, rate=rate))
            self._trust.before()
            self._writer = entering.enter_context(
                Writer(self._folder, worker=self._part, facts=self._facts)
            )
            self._exit = entering.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.notes = {"workers": {self._part: {"vitals": vitals_said(self._engine.vitals())}}}
        self._exit.__exit__(kind, error, trace)

    def play(
        self,
        level: float,
        seconds: float,
        seed: int,
        *,
        whole: bool,
        target: Target | None = None,
        labels: dict[str, str] | None = None,
        batch: int | None = None,
        slo: Sequence[Objective] = (),
        error: float = 0.0,
    ) -> Stretch:
        """Put ``level`` (``whole``: users, else requests a second) on, and measure ``seconds``.

        ``seed`` says when requests come, ``batch`` which they are: no two batches of a target
        have a prompt in common. Default: one batch a seed.
        The requests of the warm-up before are in the journal too, but not in what is returned.
        With ``slo`` it is cut short where that is broken beyond doubt, at the ``error`` that the
        verdict on it may have (`harness.load.finding.looking`); what is under way is given up. And
        the warm-up of a rate then lasts longer than an answer of this level, or of a lower one:
        until then fewer are under way than the level brings with it.
        """
        target = target or self.targets[0]
        warm_s = max(min(0.5, seconds), WARM_UP * seconds)
        if slo and not whole:
            below = (took_s for at, took_s in self._answers_s.items() if at <= level)
            warm_s = max(warm_s, _FILLED * max(below, default=0.0))
        from_ns = time.monotonic_ns() + round(warm_s * _NS)
        looks = Looks(slo, error=error, from_ns=from_ns, seconds=seconds)
        with self._trust.during():
            first = (seed if batch is None else batch) * _BATCH
            drive = self._drive(
                target, level, warm_s + seconds, warm_s, seed, first, looks, whole=whole
            )
        trusted = self._trust.judge(receive_lag=receive_lags(drive.recorded))
        excuse = "; ".join(trusted.why) if trusted.verdict is not Verdict.PASS else ""
        if exact := target.amiss(_usages(target, drive)):
            excuse = f"{exact}; {excuse}".rstrip("; ")
        if looks.excuse or not (drive.complete or drive.cut):
            excuse = looks.excuse or "interrupted"
        measured_s = drive.seconds - warm_s if drive.cut else seconds
        measured_s = min(seconds, max(measured_s, 1e-3))
        kept: list[tuple[Met, tuple[int, int]]] = []
        came: list[Met] = []
        for recorded in drive.recorded:
            ended_by_us = drive.cut and recorded.end is End.CANCELLED
            if ended_by_us and recorded.sent_ns is None:
                continue  # never asked
            warm = recorded.due_ns < from_ns
            row = row_of(
                recorded,
                number=self._number,
                name=target.model,
                load=level,
                worker=self._part,
                labels={
                    **(labels or {}),
                    **({"warm": "1"} if warm else {}),
                    **({"given-up": "1"} if ended_by_us else {}),
                },
            )
            self._number += 1
            self._writer.add(row)
            seen = given_up(recorded, slo) if ended_by_us else row.met
            if seen is not None and not warm:
                kept.append((seen, (row.due_unix_ns, row.ended_unix_ns)))
            if row.met.whole and 0 <= recorded.ended_ns - from_ns < measured_s * _NS:
                came.append(row.met)
        by_s = measured_s
        if whole:  # within a window users bring a count of whole rounds (`comparing.compare`)
            came = [seen for seen, _ in kept if seen.whole]
            by_s = sum(ended - due for _, (due, ended) in kept) / _NS / round(level)
        stretch = Stretch(
            mets=tuple(seen for seen, _ in kept),
            spans_ns=tuple(span for _, span in kept),
            seconds=measured_s,
            warm_s=None if whole else warm_s,
            answers_per_s=len(came) / by_s if came else 0.0,
            tokens_per_s=sum(met.tokens for met in came) / by_s if came else 0.0,
            took_s=drive.seconds,
            excuse=excuse,
            cut=looks.cut,
        )
        taken = [seen.e2e_ms for seen, _ in kept if seen.e2e_ms is not None]
        if taken and not drive.cut and not grows(stretch, slo):
            self._answers_s[level] = median(taken) / 1000
        return stretch

    def _drive(
        self,
        target: Target,
        level: float,
        total_s: float,
        warm_s: float,
        seed: int,
        first: int,
        looks: Looks,
        *,
        whole: bool,
    ) -> Drive:
        if whole:
            return closed(
                self._engine,
                target.make,
                users=round(level),
                seconds=total_s,
                stagger_s=warm_s,
                seed=seed,
                first=first,
                stop=self.stop,
                enough=looks,
            )
        moments = poisson(steady(level, total_s), seed=seed)
        return scheduled(
            self._engine, target.make, moments, first=first, stop=self.stop, enough=looks
        )

    def _asked(self, target: Target) -> float:
        """Tokens a second of one answer, on an idle target."""
        said, rate = "", 0.0
        for number in range(_TRIES):
            try:
                ticket = self._engine.submit(target.make(-1 - number).request)
                recorded = self._waited(ticket)
            except WireError as error:
                raise LoadError("load.target-down", str(error)) from error
            answer = answers.read(recorded.exchange)
            seen, timed = met(recorded), timing(answer)
            if wrong := target.amiss([answer.usage] if seen.whole else []):
                raise TokenizerError("load.tokenizer-mismatch", f"{wrong}. Nothing was measured.")
            if seen.whole and timed is not None:
                gap_ms = timed.tpot_ms or seen.itl_ms or 20.0
                rate = max(rate, 1000 / max(gap_ms, 0.5))
                self._answers_s[0.0] = max(self._answers_s.get(0.0, 0.0), timed.e2e_ms / 1000)
            else:
                said = f"{recorded.end.value}: {seen.why or recorded.detail}"
                break
        if self.stop.is_set():
            raise LoadError("load.interrupted", "interrupted before anything was measured")
        if not rate or said:
            raise LoadError(
                "load.target-down",
                f"{target.base_url} gave no whole answer for the model {target.model!r} "
                f"({said}). Nothing was measured: start it, or correct URL, model or key "
                "(--key-env VAR).",
            )
        return min(rate, 200.0)

    def _waited(self, ticket: Ticket) -> Recorded:
        while not self.stop.is_set():
            with suppress(TimeoutError):
                return ticket.wait(_WATCH_S)
        ticket.cancel()
        return ticket.wait()


def _usages(target: Target, drive: Drive) -> Iterator[Mapping[str, Any] | None]:
    """What the server reports of each whole answer, where it matters."""
    for recorded in drive.recorded if target.prompts != "words" else ():
        answer = answers.read(recorded.exchange)
        if answer.wholeness:
            yield answer.usage
