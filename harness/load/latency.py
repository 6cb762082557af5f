"""TTFT, ITL and E2E of many answers, each figure with its samples, interval and limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from statistics import median
from typing import TYPE_CHECKING

from harness.evidence import Evidence, Verdict
from harness.load.timing import timing
from harness.statistics import memory_at, quantile, share, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.answer import Answer
    from harness.load.timing import Timing
    from harness.statistics import Estimate

Bound = Callable[[str, str], float | None]
"""The largest acceptable value, in ms, of a check and subject; None where there is none."""

MEDIAN = 0.50
FIGURES = (
    ("latency.ttft.p50", "time to first token (TTFT), median", MEDIAN, "ttft_ms"),
    ("latency.ttft.p95", "time to first token (TTFT), 95th percentile", 0.95, "ttft_ms"),
    ("latency.itl.p50", "gap between tokens (ITL), median", MEDIAN, "itl_ms"),
    ("latency.e2e.p50", "whole answer (E2E), median", MEDIAN, "e2e_ms"),
)


EXPLAINED = {
    "latency.ttft.p50": """Median time to first token (TTFT)

From the moment the request was sent until the first event with text arrived, stamped by the kernel.
Stated with a confidence interval; a figure whose interval straddles the limit is inconclusive.

Remedy: look at the engine's own share first (`latency.gateway-overhead.p50`); then raise the
limit in gates.yaml only with a reason written beside it.""",
    "latency.ttft.p95": """95th percentile of the time to first token (TTFT)

One in twenty callers waits longer. It needs many samples. Answers that stalled together count as
one: a single stall of the gateway beyond the limit leaves it undecided, and as many answers again
show whether it was the only one.

Remedy: look for stalls in the recordings: all streams in flight pause together if the gateway
did.""",
    "latency.itl.p50": """Median gap between tokens (ITL)

One sample an answer, its median gap: gaps within an answer depend on each other, and pooling them
would make the interval look better than it is.

Remedy: compare with the engine asked directly; a gateway that buffers shows as gaps of zero and
long pauses.""",
    "latency.e2e.p50": """Median time of a whole answer (E2E)

From the request to the last byte. It grows with the length of the answer, so it only means
something together with the number of tokens asked for.

Remedy: look at TTFT and ITL: one of the two explains it.""",
    "latency.gateway-overhead.p50": """What the gateway adds to the first token

The engine's own record of when it sent the first token, subtracted from when the client received
it, with the request's way in counted too: what is left was spent in the gateway. A real engine
keeps no such record: it is asked directly and through the gateway in turn, and the difference of
the two times to the first token is taken, one at a time.

Remedy: fewer callbacks, fewer workers sharing a core, or another transport; see the gateway's
`x-litellm-overhead-duration-ms` for its own opinion.""",
}
"""What ``harness explain`` says of each check."""


def judge(
    subject: str, answers: Sequence[Answer], bound: Bound, *, tail: bool = True
) -> list[Evidence]:
    """Judge the phases of ``answers``, which are streams of one subject.

    ``tail`` asks for the 95th percentile too, which takes many more samples.

    A stream that is not whole has no time: it is counted in the reason, and more
    than none of them make every figure inconclusive, for the slowest may be missing.
    An ITL sample is the median gap of one answer: the gaps within an answer depend on
    each other, and pooling them would make the interval look better than it is. So do answers
    that were under way together: ``answers`` are in order of time, and neighbours that share their
    fate count as fewer.
    """
    timings = [found for answer in answers if (found := timing(answer)) is not None]
    broken = len(answers) - len(timings)
    recordings = tuple(answer.exchange.id for answer in answers)
    return [
        _figure(
            check,
            f"{text} within its limit",
            subject,
            _samples(timings, field),
            q,
            bound(check, subject),
            broken,
            recordings,
        )
        for check, text, q, field in FIGURES
        if tail or q == MEDIAN
    ]


async def until_decided(
    ask: Callable[[int], Awaitable[list[Answer]]],
    judged: Callable[[Sequence[Answer]], list[Evidence]],
    asks: int,
) -> tuple[list[Answer], list[Evidence]]:
    """Ask ``asks`` times, and as many again where that leaves a figure with a limit undecided.

    So a stall in the one half can be seen to be the only one, and most runs pay for one half.
    """
    got = await ask(asks)
    found = judged(got)
    if any(one.verdict is Verdict.INCONCLUSIVE and one.bound is not None for one in found):
        got += await ask(asks)
        found = judged(got)
    return got, found


def judge_overhead(
    subject: str,
    samples_ms: Sequence[float],
    lost: int,
    bound: Bound,
    recordings: tuple[str, ...],
    *,
    paired: bool = False,
) -> Evidence:
    """Judge what the gateway adds to the first token: way in plus way out, in ms.

    Each sample is (engine received the request - client sent it) + (client received
    the first token - engine sent it), on one monotonic clock; ``lost`` counts
    requests whose engine-side stamps were not found. ``paired``: an engine without a
    ledger was asked twice, and a sample is TTFT through the gateway - TTFT directly.
    """
    check = "latency.gateway-overhead.p50"
    how = ", paired with direct answers" if paired else ""
    return _figure(
        check,
        f"added to the first token by the gateway{how}, median",
        subject,
        list(samples_ms),
        0.5,
        bound(check, subject),
        lost,
        recordings,
    )


def _samples(timings: Sequence[Timing], field: str) -> list[float]:
    if field == "itl_ms":
        return [median(t.itl_ms) for t in timings if t.itl_ms]
    return [getattr(t, field) for t in timings]


def _figure(
    check: str,
    asked: str,
    subject: str,
    samples: list[float],
    q: float,
    limit_ms: float | None,
    broken: int,
    recordings: tuple[str, ...],
) -> Evidence:
    if not samples:
        return Evidence(
            check=check,
            subject=subject,
            asked=asked,
            verdict=Verdict.NOT_RUN,
            reason=f"no whole stream to time, {broken} broken",
            bound=limit_ms,
            unit="ms",
            n=0,
            recordings=recordings,
        )
    estimate = quantile(samples, q, correlation=memory_at(samples, q))
    if limit_ms is None:
        verdict, reason = Verdict.INCONCLUSIVE, "the policy states no limit for it"
    else:
        verdict, reason = _within(samples, q, limit_ms, estimate)
    if broken and verdict is Verdict.PASS:
        verdict, reason = (
            Verdict.INCONCLUSIVE,
            f"{broken} of {broken + len(samples)} were not whole",
        )
    return Evidence(
        check=check,
        subject=subject,
        asked=asked,
        verdict=verdict,
        reason=reason,
        value=estimate.value,
        unit="ms",
        n=estimate.n,
        interval=estimate.interval,
        bound=limit_ms,
        recordings=recordings,
    )


def _within(
    samples: Sequence[float], q: float, limit_ms: float, estimate: Estimate
) -> tuple[Verdict, str]:
    """Whether a share ``q`` of the samples, in order of time, keeps the limit, and for how sure.

    A share says more than the interval of the quantile where samples remember their neighbours but
    all of them keep the limit: then how far apart they lie does not matter.
    """
    verdict, reason = within(estimate, limit_ms)
    if verdict is not Verdict.INCONCLUSIVE or estimate.high is not None:
        return verdict, reason
    kept = share([sample <= limit_ms for sample in samples])
    if kept.low >= q:
        return Verdict.PASS, ""
    return verdict, (
        f"{reason}: {kept.value:.1%} of them lie within {limit_ms:g} ms, at least {kept.low:.1%}"
    )
