"""Whether a level of load keeps what was promised, and how sure that is.

"p95 ttft < 500 ms" says that at least 95 % of all requests have their first token within 500 ms.
So an objective with a percentile is a share, one that every request counts in: one that failed
has no time and missed every limit. The share has an interval that allows for a queue's memory.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from operator import attrgetter
from statistics import fmean, median, pstdev
from typing import TYPE_CHECKING, Any, Self

from harness.evidence import Verdict
from harness.load.goodput import METRICS, Objective
from harness.statistics import beta_quantile, memory, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.load.goodput import Met

GIVEN_UP = "given up: it was late already, and the level broken"
"""Why a request has no whole answer that was under way, and late, when a stretch was cut short."""

_FEW = 40
"""Requests below which a growing queue cannot be told from noise."""
_GROWTH = 1.8
"""Waiting in the last quarter by waiting in the second: 1 of a steady queue, 7/3 of one that only
grows (`harness.load.forecast`), 1.8 where it has grown for a quarter of the time before."""
_OUTLIER = 4.0
"""Times are cut off at so many limits before their memory is taken: how far beyond says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The requests of a while at one level, in the order in which they were due."""

    mets: tuple[Met, ...]
    """Of those due after the warm-up."""
    seconds: float
    """In which they were due."""
    took_s: float
    """With the warm-up, and until the last answer had ended."""
    excuse: str = ""
    """Why it says nothing, if it does not: the client was saturated, or it was interrupted."""
    cut: str = ""
    """Why it was ended early, if it was: what is promised was broken beyond doubt."""
    spans_ns: tuple[tuple[int, int], ...] = ()
    """When each of ``mets`` was due, and had ended."""
    warm_s: float | None = None
    """How long the level was on before; None of users who wait: so many are under way at once."""
    answers_per_s: float | None = None
    """Whole answers it brought, a second; None: as many as were due in it came in it."""
    tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How one objective was kept: the share of requests within the limit, and the figure."""

    objective: str
    verdict: Verdict
    share: float
    share_low: float
    share_high: float
    effective: float
    """How many independent requests the sample is worth."""
    value_ms: float | None
    """The percentile; None: it lies among requests that failed."""
    low_ms: float | None
    high_ms: float | None
    """None: no upper bound, or it lies among requests that failed."""

    @property
    def text(self) -> str:
        """How an objective was broken, in a sentence."""
        return f"{self.objective}: {self.share:.1%} within the limit, at most {self.share_high:.1%}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What one visit to a level showed."""

    level: float
    verdict: Verdict
    why: str
    kept: tuple[Kept, ...]
    requests: int
    failed: int
    """Without those `given_up`."""
    seconds: float
    took_s: float
    per_s: float
    """Whole answers that came, a second."""
    good_per_s: float
    """Whole answers within every limit, a second, of those that were due in it."""
    good_low_per_s: float
    good_high_per_s: float
    tokens_per_s: float
    """Of the whole answers that came."""
    e2e_ms: float | None
    """Mean of the whole answers."""
    e2e_error_ms: float
    """Half the width of its interval."""
    short: str = ""
    """Why it ended before its time: "client" (saturated), "budget" (spent), or "broken" (a fail
    that nothing to come could have changed)."""
    given_up: int = 0
    """Requests that were late, and not answered, when the visit was cut short."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_json`. Raises TypeError, KeyError or ValueError."""
        kept = tuple(Kept(**{**one, "verdict": Verdict(one["verdict"])}) for one in data["kept"])
        return cls(**{**data, "verdict": Verdict(data["verdict"]), "kept": kept})


def said(objective: Objective) -> str:
    """An objective as a person writes it."""
    of = "" if objective.q is None else f"p{objective.q * 100:g} "
    return f"{of}{objective.metric} < {objective.limit_ms:g}ms"


def judge(
    level: float, stretches: Sequence[Stretch], slo: Sequence[Objective], *, error: float
) -> Visit:
    """Judge what was measured at a level: pass, fail or inconclusive.

    It passes where each objective's share is above its percentile with its whole interval, and
    fails where one is below with its whole interval. Each is wrong in at most ``error`` of all
    cases: a pass needs all objectives and is not corrected for their number (intersection-union
    test: Berger, Technometrics 24, 1982), a fail needs one of them and is (Bonferroni). The share
    of a queue that still grows at the end is not that of the level: it does not pass, whatever was
    promised. Nor does one where answers take longer than the level was on before: fewer were under
    way than it brings with it, and what they wait for had not begun. A stretch that was cut short
    has failed already (`harness.load.finding.looking`).

    Raises:
        ValueError: no objective has a percentile.
    """
    asked = [objective for objective in slo if objective.q is not None]
    if not asked:
        raise ValueError("an objective needs a percentile to hold of a level: write 'p95 ttft < …'")
    mets = [met for stretch in stretches for met in stretch.mets]
    if not mets:
        return _nothing(level, stretches)
    kept = tuple(kept_by(mets, objective, error, len(asked)) for objective in asked)
    verdict, why = _verdict(kept, stretches, asked)
    whole = [met for met in mets if met.whole]
    seconds = sum(stretch.seconds for stretch in stretches)
    good = [met.whole and all(limit.held_by(met) for limit in slo) for met in mets]
    correlation = max(len(mets) / one.effective for one in kept)
    goodput = share(good, confidence=1 - 2 * error, correlation=correlation)
    e2e = [met.e2e_ms for met in whole if met.e2e_ms is not None]
    given_up = sum(met.why == GIVEN_UP for met in mets)
    per_s, tokens_per_s = _came(stretches)
    return Visit(
        level=level,
        verdict=verdict,
        why=why,
        kept=kept,
        requests=len(mets),
        failed=len(mets) - len(whole) - given_up,
        seconds=seconds,
        took_s=sum(stretch.took_s for stretch in stretches),
        per_s=per_s,
        good_per_s=sum(good) / seconds,
        good_low_per_s=goodput.low * len(mets) / seconds,
        good_high_per_s=goodput.high * len(mets) / seconds,
        tokens_per_s=tokens_per_s,
        e2e_ms=fmean(e2e) if e2e else None,
        e2e_error_ms=2 * pstdev(e2e) * math.sqrt(memory(e2e) / len(e2e)) if e2e else 0.0,
        short="broken" if verdict is Verdict.FAIL and stretches[-1].cut else "",
        given_up=given_up,
    )


def _came(stretches: Sequence[Stretch]) -> tuple[float, float]:
    """Whole answers and their tokens that came a second: as measured, or those that were due."""
    answers = tokens = 0.0
    for stretch in stretches:
        due = [met.tokens for met in stretch.mets if met.whole]
        each_s, tokens_s = stretch.answers_per_s, stretch.tokens_per_s
        answers += len(due) if each_s is None else each_s * stretch.seconds
        tokens += sum(due) if tokens_s is None else tokens_s * stretch.seconds
    seconds = sum(stretch.seconds for stretch in stretches)
    return answers / seconds, tokens / seconds


def _nothing(level: float, stretches: Sequence[Stretch]) -> Visit:
    excuses = [stretch.excuse for stretch in stretches if stretch.excuse]
    return Visit(
        level=level,
        verdict=Verdict.INCONCLUSIVE,
        why=excuses[0] if excuses else "no request was due: measure longer",
        kept=(),
        requests=0,
        failed=0,
        seconds=sum(stretch.seconds for stretch in stretches),
        took_s=sum(stretch.took_s for stretch in stretches),
        per_s=0.0,
        good_per_s=0.0,
        good_low_per_s=0.0,
        good_high_per_s=0.0,
        tokens_per_s=0.0,
        e2e_ms=None,
        e2e_error_ms=0.0,
    )


def kept_by(mets: Sequence[Met], objective: Objective, error: float, family: int) -> Kept:
    """How ``mets``, in the order in which they were due, keep one objective out of ``family``."""
    limit, q = objective.limit_ms, objective.q or 0.0
    values = [_value(met, objective) for met in mets]
    held = [value <= limit for value in values]
    # The share's own memory is short where few requests miss; that of the queue is not.
    correlation = max(
        memory([float(one) for one in held]),
        memory([min(value, _OUTLIER * limit) for value in values]),
    )
    for_pass = share(held, confidence=1 - 2 * error, correlation=correlation)
    for_fail = share(held, confidence=1 - 2 * error / family, correlation=correlation)
    verdict = Verdict.INCONCLUSIVE
    if for_pass.low > q:
        verdict = Verdict.PASS
    elif for_fail.high < q:
        verdict = Verdict.FAIL
    ordered, worth = sorted(values), for_pass.effective
    # Woodruff (JASA 47, 1952): bounds of a quantile are the quantiles at the share's bounds.
    low_q = beta_quantile(error, q * worth, (1 - q) * worth + 1)
    high_q = beta_quantile(1 - error, q * worth + 1, (1 - q) * worth)
    return Kept(
        objective=said(objective),
        verdict=verdict,
        share=for_pass.value,
        share_low=for_pass.low,
        share_high=for_fail.high if verdict is Verdict.FAIL else for_pass.high,
        effective=worth,
        value_ms=_at(ordered, q),
        low_ms=_at(ordered, low_q),
        high_ms=_at(ordered, high_q) if math.ceil(high_q * len(ordered)) < len(ordered) else None,
    )


def _value(met: Met, objective: Objective) -> float:
    value = getattr(met, METRICS[objective.metric]) if met.whole else None
    if value is None:  # an answer of one token has no gap that could be too long
        return 0.0 if objective.held_by(met) else math.inf
    return float(value)


def _at(ordered: Sequence[float], q: float) -> float | None:
    value = ordered[max(0, min(len(ordered), math.ceil(q * len(ordered))) - 1)]
    return value if math.isfinite(value) else None


def _verdict(
    kept: Sequence[Kept], stretches: Sequence[Stretch], slo: Sequence[Objective]
) -> tuple[Verdict, str]:
    if excuses := [stretch.excuse for stretch in stretches if stretch.excuse]:
        return Verdict.INCONCLUSIVE, excuses[0]
    if stretches[-1].cut:
        return Verdict.FAIL, stretches[-1].cut
    if broken := [one for one in kept if one.verdict is Verdict.FAIL]:
        return Verdict.FAIL, broken[0].text
    if all(one.verdict is Verdict.PASS for one in kept):
        why = _unsettled(stretches[-1], slo)
        return (Verdict.INCONCLUSIVE, f"it held, but {why}") if why else (Verdict.PASS, "")
    one = next(one for one in kept if one.verdict is Verdict.INCONCLUSIVE)
    return Verdict.INCONCLUSIVE, (
        f"{one.objective}: between {one.share_low:.1%} and {one.share_high:.1%} within the limit"
    )


def grows(stretch: Stretch, slo: Sequence[Objective]) -> bool:
    """Whether a queue still grew at the end, whatever was promised."""
    series = [[_value(met, objective) for met in stretch.mets] for objective in slo]
    # The gaps between tokens do not grow with a queue; these do.
    for told in (attrgetter("due_ttft_ms"), attrgetter("due_e2e_ms")):
        series += [[value for met in stretch.mets if (value := told(met)) is not None]]
    growth, warm_s = _GROWTH, stretch.warm_s or 0.0
    if warm_s:  # a queue that grows from the begin has grown less, the longer it has grown before
        long_s = stretch.seconds
        growth = min(growth, (warm_s + 7 / 8 * long_s) / (warm_s + 3 / 8 * long_s))
    return any(_rises(values, growth) for values in series)


def _rises(values: Sequence[float], growth: float) -> bool:
    if len(values) < _FEW:
        return False
    cut = [len(values) * quarter // 4 for quarter in range(5)]
    quarters = [median(values[a:b]) for a, b in pairwise(cut)]
    rises = all(earlier < later for earlier, later in pairwise(quarters))
    return rises and quarters[3] > growth * quarters[1]


def _unsettled(stretch: Stretch, slo: Sequence[Objective]) -> str:
    """Why what was measured is not yet that of the level; nothing if it is."""
    if grows(stretch, slo):
        return "the queue still grew at the end"
    taken = [met.e2e_ms for met in stretch.mets if met.e2e_ms is not None]
    took_s = median(taken) / 1000 if taken else 0.0
    if stretch.warm_s is None or took_s <= stretch.warm_s:
        return ""
    return (
        f"answers take {took_s:.3g} s and the level was on for only {stretch.warm_s:.3g} s before: "
        "fewer were under way than it brings with it"
    )
