"""A target under load, for commands that measure it themselves: asked, trusted, written down."""

from __future__ import annotations

import json
import threading
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from harness import answer as answers
from harness.answer import ask
from harness.evidence import Verdict
from harness.load.driving import Call, closed, scheduled
from harness.load.finding.level import Stretch
from harness.load.goodput import met
from harness.load.journal.journal import Facts, Writer, row_of
from harness.load.profiles import words
from harness.load.timing import timing
from harness.load.trust import Trust, receive_lags
from harness.load.workload.arrival import poisson, steady
from harness.registry.rules.network import is_loopback
from harness.wire import Request, WireError
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from harness.load.driving import Drive

WARM_UP = 0.25
"""Of the time that is measured: first the queues must come to what they are at this level."""
_TRIES = 3
_BATCH = 1_000_000
"""Numbers that a batch of requests has to itself."""

EXPLAINED = {
    "load.target-down": """The target of a load does not answer

Before anything is measured the target is asked one question, as a stream; it gave no whole answer.

Remedy: start the target, or correct its URL, key or model; the error names what it said.""",
    "load.target-not-live": """A load on somebody else's server was held back

A load costs money or takes capacity from others. Without --live only this machine is loaded.

Remedy: say --live where you may load that server.""",
}


class LoadError(RuntimeError):
    """A load that cannot begin; ``id`` is explained by `harness explain`."""

    def __init__(self, id: str, text: str) -> None:  # noqa: A002 - the field's name
        super().__init__(text)
        self.id = id


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where requests go, and what each asks for."""

    base_url: str
    """With the API path (``…/v1``)."""
    model: str
    key: str | None = field(default=None, repr=False)
    prompt_tokens: int = 64
    answer_tokens: int = 32
    seed: int = 1

    def make(self, number: int) -> Call:
        """The request of a number: no two share a prefix that a cache could hold."""
        length = max(1, self.prompt_tokens)
        request = ask.chat(
            self.base_url,
            model=self.model,
            content=words(f"{self.seed}/{number}", length),
            key=self.key,
            stream=True,
            max_tokens=self.answer_tokens,
        )
        return Call(_whole_length(request, self.answer_tokens))


def _whole_length(request: Request, tokens: int) -> Request:
    """The same, and the answer does not end before its length where the server can be told so."""
    body = json.loads(request.body) | {"min_tokens": tokens, "ignore_eos": True}
    return Request(
        method=request.method,
        url=request.url,
        headers=request.headers,
        body=json.dumps(body).encode(),
    )


def require_ours(base_url: str, *, live: bool) -> None:
    """Raise `LoadError` unless ``base_url`` is on loopback, or ``live`` says that it may be."""
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise LoadError("load.target-down", f"{base_url!r} is no URL: write http://HOST:PORT/v1")
    if not live and not is_loopback(parts.hostname):
        raise LoadError(
            "load.target-not-live",
            f"{parts.hostname} is not this machine: a load costs money, or takes capacity from "
            "others. Say --live to load it.",
        )


class Session(AbstractContextManager["Session"]):
    """One engine and its error bar, loading targets stretch by stretch into one journal.

    Enter it to ask every target once, which raises `LoadError` where one gives no whole answer,
    and to measure the client. ``stop`` set from another thread ends the stretch that is played.
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
        self._folder, self._facts, self._part = folder, facts, part
        self._streams = streams
        self._timeout_s = timeout_s
        self._number = 0
        self._exit = ExitStack()
        self._engine: LoadEngine
        self._trust: Trust
        self._writer: Writer

    def __enter__(self) -> Self:
        with ExitStack() as entering:
            engine = entering.enter_context(LoadEngine(timeout_s=self._timeout_s))
            self._engine = engine
            rate = min(self._asked(target) for target in self.targets)
            self._writer = entering.enter_context(
                Writer(self._folder, worker=self._part, facts=self._facts)
            )
            self._trust = entering.enter_context(Trust(engine, streams=self._streams, rate=rate))
            self._trust.before()
            self._exit = entering.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
    ) -> Stretch:
        """Put ``level`` (``whole``: users, else requests a second) on, and measure ``seconds``.

        ``seed`` says when requests come, ``batch`` which they are: no two batches of a target
        have a prompt in common. Default: one batch a seed.
        The requests of the warm-up before are in the journal too, but not in what is returned.
        """
        target = target or self.targets[0]
        warm_s = max(0.5, WARM_UP * seconds)
        with self._trust.during():
            first = (seed if batch is None else batch) * _BATCH
            drive = self._drive(target, level, warm_s + seconds, warm_s, seed, first, whole=whole)
        trusted = self._trust.judge(receive_lag=receive_lags(drive.recorded))
        excuse = "; ".join(trusted.why) if trusted.verdict is not Verdict.PASS else ""
        if not drive.complete:
            excuse = "interrupted"
        from_ns = drive.begun_ns + round(warm_s * 1e9)
        kept = []
        for number, recorded in enumerate(drive.recorded):
            row = row_of(
                recorded,
                number=self._number + number,
                name=target.model,
                load=level,
                worker=self._part,
                labels={**(labels or {}), **({} if recorded.due_ns >= from_ns else {"warm": "1"})},
            )
            self._writer.add(row)
            if recorded.due_ns >= from_ns:
                kept.append(row.met)
        self._number += len(drive.recorded)
        return Stretch(mets=tuple(kept), seconds=seconds, took_s=drive.seconds, excuse=excuse)

    def _drive(
        self,
        target: Target,
        level: float,
        total_s: float,
        warm_s: float,
        seed: int,
        first: int,
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
            )
        moments = poisson(steady(level, total_s), seed=seed)
        return scheduled(self._engine, target.make, moments, first=first, stop=self.stop)

    def _asked(self, target: Target) -> float:
        """Tokens a second of one answer, on an idle target."""
        said, rate = "", 0.0
        for number in range(_TRIES):
            try:
                ticket = self._engine.submit(target.make(-1 - number).request)
                recorded = ticket.wait()
            except WireError as error:
                raise LoadError("load.target-down", str(error)) from error
            answer = answers.read(recorded.exchange)
            seen, timed = met(recorded), timing(answer)
            if seen.whole and timed is not None:
                gap_ms = timed.tpot_ms or seen.itl_ms or 20.0
                rate = max(rate, 1000 / max(gap_ms, 0.5))
            else:
                said = f"{recorded.end.value}: {seen.why or recorded.detail}"
                break
        if not rate or said:
            raise LoadError(
                "load.target-down",
                f"{target.base_url} gave no whole answer for the model {target.model!r} "
                f"({said}). Nothing was measured: start it, or correct URL, key or model.",
            )
        return min(rate, 200.0)
