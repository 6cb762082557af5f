"""What one request of a load met, and the share of requests that met what was promised.

Every request that was due counts. One whose answer is not whole has no times and is never good:
leaving it out would make a server look better the more it breaks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness import answer as answers
from harness.answer import DeltaKind
from harness.load.timing import stated, timing
from harness.statistics import quantile, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.answer import Answer
    from harness.statistics import Estimate, Share
    from harness.wire.engine import Recorded

_MS = 1e6
METRICS = {
    "queue": "queue_ms",
    "ttft": "ttft_ms",
    "visible": "visible_ms",
    "itl": "itl_ms",
    "stall": "stall_ms",
    "tpot": "tpot_ms",
    "e2e": "e2e_ms",
    "normalised": "normalised_ms",
    "ttft-from-due": "due_ttft_ms",
    "e2e-from-due": "due_e2e_ms",
}
"""The metrics an objective may name, and the fields of `Met` they stand for."""
GAPS = frozenset({"itl", "stall", "tpot"})
"""Those of the gaps between tokens, of which an answer of one token has none."""

_OBJECTIVE = re.compile(
    r"(?:p(?P<q>\d{1,2}(?:\.\d+)?)\s+)?(?P<metric>[a-z][a-z0-9-]*)\s*<=?\s*"
    r"(?P<limit>\d+(?:\.\d+)?)\s*(?P<unit>ms|s)"
)
_UNITS = {"ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What one request met. Times are milliseconds, None where there is no such time.

    A token-bearing chunk brings content, reasoning or a tool call; chunks that bring only a
    role, a finish reason, usage or nothing are not counted anywhere.
    """

    whole: bool
    """A finish reason, ``[DONE]`` and no error object: else no time below is given."""
    why: str
    """What is wrong with the answer, or what made it whole."""
    queue_ms: float | None = None
    """From when it was due until its last byte was sent: dispatch lag and connecting."""
    ttft_ms: float | None = None
    """From sent to the first token-bearing chunk (TTFT)."""
    ttft_slack_ms: float = 0.0
    """How much earlier that chunk may have come: more than 0 if it shared a read with others."""
    visible_ms: float | None = None
    """From sent to the first token that is not reasoning; None where all of it is."""
    itl_ms: float | None = None
    """The median gap between successive token-bearing chunks of this answer."""
    stall_ms: float | None = None
    """The longest such gap."""
    tpot_ms: float | None = None
    """From the first such chunk to the last, by the tokens that came after the first chunk."""
    e2e_ms: float | None = None
    """From sent to the last event."""
    normalised_ms: float | None = None
    """That, by all tokens of the answer."""
    due_ttft_ms: float | None = None
    """From due to the first token-bearing chunk: a client that was late hides nothing here."""
    due_e2e_ms: float | None = None
    """From due to the last event."""
    tokens: int = 0
    chunks: int = 0
    merged: int = 0
    """Token-bearing chunks that shared a read: their stamps are upper bounds."""


def met(recorded: Recorded) -> Met:
    """What ``recorded`` met; due as scheduled, or when it was handed over."""
    return met_by(answers.read(recorded.exchange), due_ns=recorded.due_ns)


def met_by(answer: Answer, *, due_ns: int | None = None) -> Met:
    """What the request of ``answer`` met, due at ``due_ns``, by default when it started.

    The times of a stream are those of `timing`.
    """
    exchange = answer.exchange
    timed = timing(answer)
    why = answer.wholeness.why
    if not answer.wholeness or exchange.sent_ns is None:
        return Met(whole=False, why=why)
    due_ns = exchange.started_ns if due_ns is None else due_ns
    queue_ms = (exchange.sent_ns - due_ns) / _MS
    if timed is None:  # whole, but no stream: nothing is known of its tokens' times
        e2e_ms = (exchange.reads[-1].at_ns - exchange.sent_ns) / _MS
        return Met(
            whole=True,
            why=why,
            queue_ms=queue_ms,
            e2e_ms=e2e_ms,
            due_e2e_ms=e2e_ms + queue_ms,
            tokens=stated(answer.usage) or 0,
        )
    deltas = answer.deltas
    seen = next((delta for delta in deltas if delta.kind is not DeltaKind.REASONING), None)
    first = deltas[0]
    return Met(
        whole=True,
        why=why,
        queue_ms=queue_ms,
        ttft_ms=timed.ttft_ms,
        ttft_slack_ms=(first.at_ns - first.after_ns) / _MS if first.merged else 0.0,
        visible_ms=(seen.at_ns - exchange.sent_ns) / _MS if seen else None,
        itl_ms=median(timed.itl_ms) if timed.itl_ms else None,
        stall_ms=max(timed.itl_ms, default=None),
        tpot_ms=timed.tpot_ms,
        e2e_ms=timed.e2e_ms,
        normalised_ms=timed.e2e_ms / timed.tokens,
        due_ttft_ms=timed.ttft_ms + queue_ms,
        due_e2e_ms=timed.e2e_ms + queue_ms,
        tokens=timed.tokens,
        chunks=timed.chunks,
        merged=timed.merged,
    )


@dataclass(frozen=True, slots=True)
class Objective:
    """A limit on a metric: of each request, or with ``q`` of the requests together."""

    metric: str
    limit_ms: float
    q: float | None = None

    def held_by(self, one: Met) -> bool:
        """Whether a single request kept the limit; not where it has no such time.

        A first token that may have come in time but is not known to is not counted as held, and
        neither are the gaps of many tokens that came in one chunk. One token has no gap that
        could be too long (`GAPS`).
        """
        value: float | None = getattr(one, METRICS[self.metric])
        if value is None:
            return one.whole and one.tokens == 1 and self.metric in GAPS
        return value <= self.limit_ms


def objectives(text: str) -> tuple[Objective, ...]:
    """Read objectives such as ``p95 ttft < 500ms and tpot <= 0.05s``.

    Without a percentile an objective holds of each request: a goodput counts those.

    Raises:
        ValueError: it cannot be read, or names a metric that is none.
    """
    found = []
    for part in re.split(r"\s*(?:,|\band\b)\s*", text.strip()):
        read = _OBJECTIVE.fullmatch(part)
        if read is None or read["metric"] not in METRICS:
            raise ValueError(
                f"{part!r} is no objective: write e.g. 'p95 ttft < 500ms'. The metrics are "
                f"{', '.join(METRICS)}."
            )
        q = float(f"{read['q']}e-2") if read["q"] else None
        if q == 0:
            raise ValueError(f"{part!r}: there is no percentile 0")
        found.append(Objective(read["metric"], float(read["limit"]) * _UNITS[read["unit"]], q))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodput:
    """How many requests met every objective, out of all that were due."""

    good: int
    n: int
    per_s: float
    """Good requests a second of the load."""
    share: Share
    """With an interval that allows for neighbours sharing their fate."""


def goodput(mets: Sequence[Met], slo: Sequence[Objective], *, seconds: float) -> Goodput:
    """Count the requests of ``mets``, in order of time, that are whole and met all of ``slo``.

    ``seconds`` are from when the first was due until the last answer had ended.

    Raises:
        ValueError: no requests, no time, or an objective with a percentile, which no single
            request can meet.
    """
    if not seconds > 0:
        raise ValueError(f"a load of {seconds} seconds: give more than 0")
    if of_all := [objective for objective in slo if objective.q is not None]:
        raise ValueError(f"{of_all[0]} is of all requests together: a goodput counts single ones")
    kept = [one.whole and all(limit.held_by(one) for limit in slo) for one in mets]
    good = sum(kept)
    return Goodput(good=good, n=len(kept), per_s=good / seconds, share=share(kept))


def figure(mets: Sequence[Met], metric: str, q: float, *, confidence: float = 0.95) -> Estimate:
    """The ``q`` quantile of a metric over the requests that have it, with its interval.

    How many have none is for the caller to say beside it: ``n`` counts the others. The interval
    takes them as independent; for requests of a queue see `harness.statistics.quantile`.

    Raises:
        ValueError: none has it. KeyError: there is no such metric.
    """
    values = [getattr(one, METRICS[metric]) for one in mets]
    return quantile([value for value in values if value is not None], q, confidence=confidence)
