"""What a comparison came to, as evidence beside its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.evidence import Evidence, Verdict
from harness.load.comparing.compare import FAILURES, METRICS, THROUGHPUT

if TYPE_CHECKING:
    from harness.load.comparing.compare import Compared, Judgement

_CHECK = "load.compare."
_MORE = {
    THROUGHPUT: """

It is that of users who wait for their answers: tokens of whole answers by the time that all
requests took, times the users. Where requests come by a schedule it is what was asked for, and is
not judged."""
}
EXPLAINED = {
    f"{_CHECK}{metric}": f"""Whether B is worse than A in {metric}

Both were loaded in turn, in blocks of ABBA; the effect is how much more B has than A, within each
block. It fails where the whole interval is worse than the minimum effect, and passes where none
of it is.{_MORE.get(metric, "")}

Remedy: of an inconclusive one, measure more blocks, or fewer figures (--metric); of a fail, look
at what differs between the two."""
    for metric in METRICS
}
"""What ``harness explain`` says of each."""


def evidence_of(
    judgement: Judgement, *, subject: str, minimum: float, more_failures: float, seed: int
) -> list[Evidence]:
    """One record a metric, in per cent; of failures the difference of the shares."""
    return [
        _record(one, judgement, subject, more_failures if one.metric == FAILURES else minimum, seed)
        for one in judgement.compared
    ]


def _record(
    one: Compared, judgement: Judgement, subject: str, minimum: float, seed: int
) -> Evidence:
    verdict, said = one.verdict, [one.reason] if one.reason else []
    if judgement.partial:
        verdict, said = Verdict.INCONCLUSIVE, [judgement.partial]
    if one.low is not None and one.high is not None:
        sure = f"{judgement.confidence:.0%}"
        said.append(f"{sure} interval {one.low:+.2%} to {one.high:+.2%}")
    return Evidence(
        check=f"{_CHECK}{one.metric}",
        subject=subject,
        asked=f"B is not worse than A by more than {minimum:.3g} of A in {one.metric}"
        if one.metric != FAILURES
        else f"B fails in at most {minimum:.3g} more of the requests than A",
        verdict=verdict,
        reason="; ".join(said),
        value=None if one.effect is None else 100 * one.effect,
        unit="% more" if one.metric != FAILURES else "percentage points",
        n=one.blocks,
        bound=100 * minimum if one.metric != "throughput" else None,
        seed=seed,
    )
