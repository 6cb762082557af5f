"""What a search found, as one piece of evidence beside its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from harness.evidence import Evidence, Verdict
from harness.evidence.record import Behind

if TYPE_CHECKING:
    from harness.load.finding.finding import Search

CHECK = "load.find"
EXPLAINED = {
    CHECK: """The most load that keeps what was promised

The highest rate, or most users, that kept every objective, found by visiting levels of load until
both ends of the bracket were sure. It passes where a level holds, fails where not even the lowest
does, and is inconclusive where that is not sure. No rate holds while a queue still grows, nor
before it was on for longer than an answer takes: until then fewer requests are under way than it
brings with it.

Remedy: of a fail, promise less or make the target faster; of an inconclusive one, repeat the same
command with a larger --budget-s, which goes on where it stopped. An SLO of itl, tpot or stall alone
stays inconclusive, as no queue breaks it: promise a ttft or e2e too.""",
}
"""What ``harness explain`` says of it."""
_VERDICTS = {0: Verdict.PASS, 1: Verdict.FAIL}


def evidence_of(result: Search, *, model: str, seed: int) -> Evidence:
    """The verdict on a search; its figure is the highest level that held."""
    unit = "users" if result.plan.whole else "requests/s"
    verdict = _VERDICTS.get(result.exit_code, Verdict.INCONCLUSIVE)
    reason = f"{result.found.text} ({unit}, {result.plan.confidence:.0%} confidence)"
    if result.interrupted:
        verdict, reason = Verdict.INCONCLUSIVE, f"interrupted; until then {reason}"
    elif verdict is Verdict.INCONCLUSIVE:
        reason = f"{reason[:-1]} not reached)"
    slo = " and ".join(result.slo)
    return Evidence(
        check=CHECK,
        subject=f"load:{model}",
        asked=f"some load of at least {result.plan.least:g} {unit} keeps {slo}",
        verdict=verdict,
        reason=reason,
        value=result.found.held,
        unit=unit,
        n=sum(visit.requests for visit in result.visits),
        engine=_behind(result.engine),
        seed=seed,
    )


def _behind(told: str) -> Behind:
    """The kind that was told in words; several of them are mixed, and an unknown one is none."""
    known: tuple[Behind, ...] = get_args(Behind)
    return next((kind for kind in known if kind == told), "mixed" if " " in told else "none")
