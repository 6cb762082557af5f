"""The gateway's share of what a client waits for: asked directly and through it, in turn.

An engine without a ledger tells nobody when it sent its first token. So the same requests are put
to it directly (A) and through the gateway (B), in blocks of ABBA, and what B takes longer is the
gateway's: each block gives one difference, which a drift of the machine does not reach. Of an
emulated engine `harness.stack.share` knows the share of each single answer besides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING

from harness.evidence import Evidence, Verdict
from harness.load.goodput import METRICS
from harness.load.goodput import figure as figure_of
from harness.statistics import BLOCK, order, quantile, t_quantile
from harness.statistics.comparison import LEAST_BLOCKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.evidence import Behind
    from harness.load.comparing.compare import Run
    from harness.load.goodput import Objective

CONFIDENCE = 0.95
SHARED = {
    "ttft": "the time to first token (TTFT)",
    "itl": "the gap between tokens (ITL)",
    "e2e": "the whole answer (E2E)",
}
"""The metrics a share is told of, by their name in an objective."""

EXPLAINED = {
    "load.share.ttft": """What the gateway adds to the time to first token (TTFT)

The same requests go directly to the engine and through the gateway, in blocks of ABBA; each block
gives one difference of the medians, and the interval is over the blocks.

Remedy: fewer callbacks and fewer workers sharing a core; for a narrower interval more blocks.""",
    "load.share.itl": """What the gateway adds to the gap between tokens (ITL)

A gateway that passes chunks on adds nothing here. One that collects them shows gaps of zero and
long pauses instead: look at the longest gap too.

Remedy: look whether the gateway or a proxy before it buffers the stream.""",
    "load.share.e2e": """What the gateway adds to the whole answer (E2E)

It contains what is added to the first token, and all that is added to the tokens after it.

Remedy: look at the shares of TTFT and ITL: one of the two explains it.""",
    "load.share.ledger": """What the gateway adds to the first token, answer by answer

An emulated engine keeps a ledger of what it sent and when, so of each answer the way in and the
way out are known. It needs no second run, and must agree with the paired figure.

Remedy: as of load.share.ttft.""",
}
"""What ``harness explain`` says of each check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What the gateway adds to one metric, in milliseconds."""

    metric: str
    direct_ms: float | None
    """Median over the runs of their medians."""
    through_ms: float | None
    added_ms: float | None
    """Mean over the blocks; below 0 where it lies within the noise."""
    low_ms: float | None
    """None below three blocks."""
    high_ms: float | None
    blocks: int
    why: str = ""
    """Why there is no figure, or why it says nothing."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both bounds, or None."""
        if self.low_ms is None or self.high_ms is None:
            return None
        return self.low_ms, self.high_ms


def shares(runs: Sequence[Run], *, confidence: float = CONFIDENCE) -> tuple[Share, ...]:
    """The share of each metric over ``runs``, direct as A and through the gateway as B.

    The figure of a run is the median of its whole answers; a block gives the mean of B's two less
    the mean of A's two, and the interval is Student's over the blocks, taken as independent. Runs
    that fill no block are left out.

    Raises:
        ValueError: the runs are not in the `harness.statistics.order` of whole blocks.
    """
    whole = len(runs) // BLOCK * BLOCK
    if not whole or "".join(run.arm for run in runs[:whole]) != order(whole // BLOCK):
        raise ValueError(
            f"{len(runs)} runs are no whole blocks of ABBA and BAAB: nothing is paired"
        )
    return tuple(_share(metric, runs[:whole], confidence) for metric in SHARED)


def judge(
    found: Sequence[Share],
    *,
    subject: str,
    limits: Mapping[str, float] | None = None,
    engine: Behind = "none",
    seed: int | None = None,
) -> list[Evidence]:
    """Evidence of each share, held against its limit (ms) in ``limits`` where there is one.

    Without a limit the question is whether it could be measured.
    """
    return [
        _evidence(
            f"load.share.{share.metric}",
            SHARED[share.metric],
            subject,
            share,
            (limits or {}).get(share.metric),
            engine,
            seed,
        )
        for share in found
    ]


def by_ledger(
    samples_ms: Sequence[float],
    lost: int,
    *,
    subject: str,
    limit_ms: float | None = None,
    seed: int | None = None,
) -> Evidence:
    """Evidence of what an emulated engine's ledger tells of single answers (`Stack.gateway_share`).

    ``lost`` answers were not found in it: with any, a limit is not shown to be kept.
    """
    figure = quantile(samples_ms, 0.5) if samples_ms else None
    share = Share(
        metric="ledger",
        direct_ms=None,
        through_ms=None,
        added_ms=figure.value if figure else None,
        low_ms=figure.low if figure else None,
        high_ms=figure.high if figure else None,
        blocks=len(samples_ms),
        why=f"{lost} of {lost + len(samples_ms)} answers are not in the ledger" if lost else "",
    )
    what = f"{SHARED['ttft']} of each answer, by the engine's ledger"
    return _evidence("load.share.ledger", what, subject, share, limit_ms, "emulated", seed)


def limits_of(wanted: Sequence[Objective]) -> Mapping[str, float]:
    """The limits by metric, in ms.

    Raises:
        ValueError: a limit with a percentile, or of a metric that has no share.
    """
    for limit in wanted:
        if limit.q is not None or limit.metric not in SHARED:
            raise ValueError(
                f"no share of {limit.metric} at a percentile is told: write 'ttft < 20ms'; there "
                f"are {', '.join(SHARED)}"
            )
    return {limit.metric: limit.limit_ms for limit in wanted}


def _share(metric: str, runs: Sequence[Run], confidence: float) -> Share:
    figures = [_median(run, metric) for run in runs]
    told = [value for value in figures if value is not None]
    if len(told) < len(figures):
        missing = len(figures) - len(told)
        return Share(
            metric=metric,
            direct_ms=None,
            through_ms=None,
            added_ms=None,
            low_ms=None,
            high_ms=None,
            blocks=0,
            why=f"{missing} of {len(figures)} runs have no whole answer with {METRICS[metric]}",
        )
    sides = {
        arm: [value for value, run in zip(told, runs, strict=True) if run.arm == arm]
        for arm in ("A", "B")
    }
    differences = []
    for begin in range(0, len(runs), BLOCK):
        block = list(zip(told, runs, strict=True))[begin : begin + BLOCK]
        through = fmean(value for value, run in block if run.arm == "B")
        differences.append(through - fmean(value for value, run in block if run.arm == "A"))
    low = high = None
    if len(differences) >= LEAST_BLOCKS:
        reach = t_quantile((1 + confidence) / 2, len(differences) - 1)
        reach *= stdev(differences) / math.sqrt(len(differences))
        low, high = fmean(differences) - reach, fmean(differences) + reach
    return Share(
        metric=metric,
        direct_ms=median(sides["A"]),
        through_ms=median(sides["B"]),
        added_ms=fmean(differences),
        low_ms=low,
        high_ms=high,
        blocks=len(differences),
        why=_doubt(runs),
    )


def _median(run: Run, metric: str) -> float | None:
    try:
        return figure_of([met for met in run.mets if met.whole], metric, 0.5).value
    except ValueError:
        return None


def _doubt(runs: Sequence[Run]) -> str:
    if excuses := [run.excuse for run in runs if run.excuse]:
        return excuses[0]
    broken = sum(not met.whole for run in runs for met in run.mets)
    return f"{broken} answers were not whole: the slowest may be missing" if broken else ""


def _evidence(
    check: str,
    what: str,
    subject: str,
    share: Share,
    limit_ms: float | None,
    engine: Behind,
    seed: int | None,
) -> Evidence:
    verdict, reason = _verdict(share, limit_ms)
    asked = f"what the gateway adds to {what} is measured"
    if limit_ms is not None:
        asked = f"the gateway adds at most {limit_ms:g} ms to {what}"
    return Evidence(
        check=check,
        subject=subject,
        asked=asked,
        verdict=verdict,
        reason=reason,
        value=share.added_ms,
        unit="ms",
        n=share.blocks,
        interval=share.interval,
        bound=limit_ms,
        engine=engine,
        seed=seed,
    )


def _verdict(share: Share, limit_ms: float | None) -> tuple[Verdict, str]:
    if share.added_ms is None:
        return Verdict.NOT_RUN, share.why or "nothing was measured"
    if share.interval is None:
        return Verdict.INCONCLUSIVE, share.why or f"{share.blocks} are too few for an interval"
    low, high = share.interval
    if limit_ms is not None and low > limit_ms and not share.why:
        return Verdict.FAIL, f"the whole interval lies above {limit_ms:g} ms"
    if share.why:
        return Verdict.INCONCLUSIVE, share.why
    if limit_ms is not None and high > limit_ms:
        return Verdict.INCONCLUSIVE, f"the interval straddles {limit_ms:g} ms: measure more blocks"
    return Verdict.PASS, ""
