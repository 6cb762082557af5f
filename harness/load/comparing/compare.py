"""Is B worse than A: runs measured in turn, every figure judged, and what the judgement is worth.

A run is some seconds of load on one of the two. Runs follow each other in blocks of A B B A and
B A A B (`harness.statistics.order`), so that what drifts on the machine meets both alike; the
ratio of B to A within each block is one sample.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from harness.evidence import Verdict
from harness.evidence.judgement import worst
from harness.load.comparing import replay
from harness.load.goodput import figure
from harness.load.overview.timeline import Spread
from harness.statistics import BLOCK, compare, compare_apart, order, share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.load.comparing.replay import Worth
    from harness.load.goodput import Met
    from harness.statistics import Comparison

Arm = Literal["A", "B"]

FIGURES: Mapping[str, tuple[str, float, bool]] = {
    "ttft.p50": ("ttft", 0.50, True),
    "ttft.p95": ("ttft", 0.95, True),
    "itl.p50": ("itl", 0.50, True),
    "e2e.p50": ("e2e", 0.50, True),
    "throughput": ("", 0.0, False),
}
"""By name: the metric, its percentile, and whether more of it is worse. Throughput is tokens of
whole answers a second, and only of users who wait for their answers."""
THROUGHPUT = "throughput"
FAILURES = "failures"
METRICS = (*FIGURES, FAILURES)
UNITS = dict.fromkeys(FIGURES, "ms") | {"throughput": "tokens/s", FAILURES: "% of requests"}
"""Of each metric, as a table shows it."""
SCHEDULED = (
    "throughput is left out: requests came by a schedule, so it is what was asked for, whatever "
    "the target did. Users who wait for their answers have one (--users)"
)
"""Why the throughput of an open loop is not judged."""
_MS, _NS = 1e6, 1e9
_WINDOWS = 30
_FEW = 20
"""Least requests of a window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A while of load on A or on B: its requests in the order in which they were due."""

    arm: Arm
    mets: tuple[Met, ...]
    users: float | None = None
    """How many asked, each for the next answer when the last had ended; None: requests came by a
    schedule, whatever was answered."""
    spans_ns: tuple[tuple[int, int], ...] = ()
    """When each of ``mets`` was due, and had ended: throughput needs them."""
    excuse: str = ""
    """Why its figures say nothing: the client was saturated, or it was interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One metric: what was measured on both sides, the judgement, and what that is worth."""

    metric: str
    a: float | None
    """Median over the runs: ms, tokens a second, or the share of requests that failed."""
    b: float | None
    effect: float | None
    """Relative; of failures the difference of the shares."""
    low: float | None
    high: float | None
    verdict: Verdict
    reason: str
    blocks: int
    worth: Worth | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data, with the unit of ``a`` and ``b``."""
        return asdict(self) | {"unit": "share" if self.metric == FAILURES else UNITS[self.metric]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All metrics, and the verdict that they make together."""

    compared: tuple[Compared, ...]
    verdict: Verdict
    why: str
    interleaved: bool
    confidence: float
    requests: int
    """Of both sides, in all runs."""
    partial: str = ""
    """Why runs are missing, if they are: then the verdict is never a pass."""
    left_out: str = ""
    """Which figure is not judged, and why."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return asdict(self) | {"compared": [one.to_json() for one in self.compared]}


def judge(
    runs: Sequence[Run],
    *,
    minimum_effect: float,
    more_failures: float = 0.01,
    metrics: Sequence[str] = METRICS,
    confidence: float = 0.98,
    replays: int = replay.REPLAYS,
    seed: int = 1,
    partial: str = "",
) -> Judgement:
    """Judge whether B is worse than A in any of ``metrics``.

    It fails where one metric is worse than its minimum, the chance to err shared among all of
    them; it passes where none is, and each was shown not to be. With ``confidence`` c it fails in
    at most (1 - c) / 2 of all comparisons of equals. Relative metrics have ``minimum_effect``;
    failures are worse where B's share is larger by more than ``more_failures``. A fail whose
    procedure alarms too often on equal settings, or a pass whose procedure overlooks true
    effects, is inconclusive instead, which the replays tell.

    Runs in the `order` of whole blocks are compared within each; others, as two records made one
    after the other, window by window. ``partial`` says why runs are missing, if they are; what is
    there is judged figure by figure, and all of it together is inconclusive.

    Where requests came by a schedule, throughput is what was asked for, and is left out.

    Raises:
        ValueError: no runs of one side, an unknown metric, a minimum that makes no sense, or
            nothing but the throughput of requests that came by a schedule.
    """
    if unknown := set(metrics) - set(METRICS):
        raise ValueError(f"no metric {min(unknown)!r}: there are {', '.join(METRICS)}")
    if not 0 < more_failures < 1:
        raise ValueError(f"{more_failures} more failures: give a share such as 0.01")
    arms = "".join(run.arm for run in runs)
    if {"A", "B"} - set(arms):
        raise ValueError("one side has no runs: there is nothing to compare")
    left_out = ""
    if THROUGHPUT in metrics and any(run.users is None for run in runs):
        left_out = SCHEDULED
        metrics = [metric for metric in metrics if metric != THROUGHPUT]
        if not metrics:
            raise ValueError(SCHEDULED)
    whole = len(runs) // BLOCK * BLOCK
    interleaved = bool(whole) and arms[:whole] == order(whole // BLOCK)
    settings = {
        "minimum_effect": minimum_effect,
        "confidence": confidence,
        "family": len(metrics),
    }
    found = []
    for metric in metrics:
        if metric == FAILURES:
            found.append(_failures(runs, more_failures, confidence, len(metrics)))
        elif interleaved:
            found.append(_in_turn(metric, runs[:whole], settings, replays, seed))
        else:
            found.append(_apart(metric, runs, settings))
    verdict, why = _together(runs, found)
    if partial:
        verdict, why = Verdict.INCONCLUSIVE, partial
    return Judgement(
        compared=tuple(found),
        verdict=verdict,
        why=why,
        interleaved=interleaved,
        confidence=confidence,
        requests=sum(len(run.mets) for run in runs),
        partial=partial,
        left_out=left_out,
    )


def value_of(metric: str, mets: Sequence[Met]) -> float | None:
    """A metric that single requests have, over those that were whole; None where none has it."""
    name, q, _ = FIGURES[metric]
    try:
        return figure([met for met in mets if met.whole], name, q).value or None
    except ValueError:
        return None


def throughput(run: Run) -> float | None:
    """Tokens a second of users who wait: what a request brings by the time that it takes.

    By the renewal reward theorem, which has no window: the answers due in one are a count of whole
    rounds, and where an answer takes nearly as long as a run an effect adds a round to all users
    or to none. A request that failed brings nothing and took its time.
    """
    taken_ns = sum(ended - due for due, ended in run.spans_ns)
    tokens = sum(met.tokens for met in run.mets if met.whole)
    return run.users * tokens * _NS / taken_ns if run.users and tokens and taken_ns else None


def received(run: Run, parts: int) -> list[float]:
    """Tokens a second in so many equal times, from the first token to when the last was due.

    An answer's tokens are taken to have come evenly from its first to its end.
    """
    whole = [
        (due + round((met.due_ttft_ms or 0.0) * _MS), ended, met.tokens)
        for met, (due, ended) in zip(run.mets, run.spans_ns, strict=False)
        if met.whole and met.tokens
    ]
    begun = min((first for first, _, _ in whole), default=0)
    last = max((due for due, _ in run.spans_ns), default=0)
    if last - begun < parts:
        return []
    spread = Spread([begun + (last - begun) * at // parts for at in range(parts + 1)])
    for first, ended, tokens in whole:
        spread.add(first, ended, tokens)
    return spread.by_second()


def _in_turn(
    metric: str, runs: Sequence[Run], settings: dict[str, Any], replays: int, seed: int
) -> Compared:
    values = [
        throughput(run) if metric == THROUGHPUT else value_of(metric, run.mets) for run in runs
    ]
    figures = [value for value in values if value is not None]
    if len(figures) < len(values):
        missing = len(values) - len(figures)
        return _none(metric, f"{missing} of {len(values)} runs have no {metric}")
    worse = FIGURES[metric][2]
    compared = compare(figures, larger_is_worse=worse, **settings)
    true = replay.effect_for(settings["minimum_effect"], larger_is_worse=worse)
    worth = replay.worth(
        figures, larger_is_worse=worse, effect=true, replays=replays, seed=seed, **settings
    )
    sides = {
        arm: [value for value, run in zip(figures, runs, strict=True) if run.arm == arm]
        for arm in ("A", "B")
    }
    return _checked(metric, sides, compared, worth)


def _checked(
    metric: str, sides: Mapping[str, list[float]], compared: Comparison, worth: Worth | None
) -> Compared:
    """The judgement, unless the replays say that it is worth nothing."""
    verdict, reason = compared.verdict, compared.reason
    if worth is None:
        return _row(metric, sides["A"], sides["B"], compared, verdict, reason, worth)
    if verdict is Verdict.FAIL and worth.false_alarms > replay.FALSE_ALARMS:
        verdict = Verdict.INCONCLUSIVE
        reason += f", but {worth.false_alarms:.1%} of equal settings look so too on this machine"
    if verdict is Verdict.PASS and worth.overlooked > replay.OVERLOOKED:
        verdict = Verdict.INCONCLUSIVE
        reason = f"{worth.overlooked:.0%} of true {worth.effect:+.0%} would pass too: add blocks"
    return _row(metric, sides["A"], sides["B"], compared, verdict, reason, worth)


def _apart(metric: str, runs: Sequence[Run], settings: dict[str, Any]) -> Compared:
    sides: dict[str, list[float]] = {"A": [], "B": []}
    for run in runs:
        parts = max(1, min(_WINDOWS, len(run.mets) // _FEW))
        if metric == THROUGHPUT:
            values: list[float | None] = [*received(run, parts)] or [None]
        else:
            cut = [len(run.mets) * at // parts for at in range(parts + 1)]
            values = [value_of(metric, run.mets[begin:end]) for begin, end in pairwise(cut)]
        for value in values:
            if not value:
                return _none(metric, f"a window of {run.arm} has no {metric}")
            sides[run.arm].append(value)
    worse = FIGURES[metric][2]
    compared = compare_apart(sides["A"], sides["B"], larger_is_worse=worse, **settings)
    true = replay.effect_for(settings["minimum_effect"], larger_is_worse=worse)
    worth = replay.worth_apart(sides.values(), larger_is_worse=worse, effect=true, **settings)
    return _checked(metric, sides, compared, worth)


def _row(
    metric: str,
    a: list[float],
    b: list[float],
    compared: Comparison,
    verdict: Verdict,
    reason: str,
    worth: Worth | None,
) -> Compared:
    return Compared(
        metric=metric,
        a=sorted(a)[len(a) // 2],
        b=sorted(b)[len(b) // 2],
        effect=compared.effect,
        low=compared.low,
        high=compared.high,
        verdict=verdict,
        reason=reason,
        blocks=compared.blocks,
        worth=worth,
    )


def _none(metric: str, reason: str) -> Compared:
    return Compared(
        metric=metric,
        a=None,
        b=None,
        effect=None,
        low=None,
        high=None,
        verdict=Verdict.INCONCLUSIVE,
        reason=reason,
        blocks=0,
    )


def _failures(runs: Sequence[Run], most: float, confidence: float, family: int) -> Compared:
    """By the hybrid interval of Newcombe (Statistics in Medicine 17, 1998, method 10).

    It is made of each side's own interval, here one that allows for failures that come together.
    """
    sides = {
        arm: [not met.whole for run in runs if run.arm == arm for met in run.mets]
        for arm in ("A", "B")
    }
    if not all(sides.values()):
        return _none(FAILURES, "a side had no request")

    def bounds(level: float) -> tuple[float, float]:
        # The hybrid of two intervals of level c has level c itself.
        a, b = (share(sides[arm], confidence=level) for arm in ("A", "B"))
        middle = b.value - a.value
        low = middle - ((b.value - b.low) ** 2 + (a.high - a.value) ** 2) ** 0.5
        high = middle + ((b.high - b.value) ** 2 + (a.value - a.low) ** 2) ** 0.5
        return low, high

    low, high = bounds(confidence)
    sure_low, _ = bounds(1 - (1 - confidence) / family)
    a, b = (sum(sides[arm]) / len(sides[arm]) for arm in ("A", "B"))
    verdict, reason = Verdict.PASS, ""
    if sure_low > most:
        verdict, reason = Verdict.FAIL, f"{b:.1%} of B's requests failed, {a:.1%} of A's"
    elif high >= most:
        verdict = Verdict.INCONCLUSIVE
        reason = f"B may fail in up to {high:+.1%} more of the requests: measure more of them"
    return Compared(
        metric=FAILURES,
        a=a,
        b=b,
        effect=b - a,
        low=low,
        high=high,
        verdict=verdict,
        reason=reason,
        blocks=len(runs) // BLOCK,
    )


def _together(runs: Sequence[Run], found: Sequence[Compared]) -> tuple[Verdict, str]:
    if excuses := [f"{run.arm}: {run.excuse}" for run in runs if run.excuse]:
        return Verdict.INCONCLUSIVE, excuses[0]
    verdict = worst(one.verdict for one in found)
    decided = next((one for one in found if one.verdict is verdict), None)
    why = "" if verdict is Verdict.PASS or decided is None else decided.reason
    return verdict, f"{decided.metric}: {why}" if decided is not None and why else ""
