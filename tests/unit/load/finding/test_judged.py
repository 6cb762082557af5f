from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.evidence import Verdict
from harness.load.finding.finding import Search
from harness.load.finding.judged import evidence_of
from harness.load.finding.search import Found, Plan
from harness.load.goodput import objectives

PLAN = Plan(slo=objectives("p80 ttft < 60ms"), least=1, most=8, whole=True)
BOTH = Found(held=4.0, broke=5.0, sure=True, open=())


def search(found: Found, *, interrupted: bool = False, engine: str = "emulated") -> Search:
    return Search(
        plan=PLAN,
        visits=(),
        found=found,
        knee=None,
        resumed=0,
        interrupted=interrupted,
        folder=Path(),
        engine=engine,
    )


@pytest.mark.parametrize(
    ("found", "verdict", "value", "said"),
    [
        (BOTH, Verdict.PASS, 4.0, "4 holds, 5 does not (users, 95% confidence)"),
        (replace(BOTH, sure=False), Verdict.INCONCLUSIVE, 4.0, "95% confidence not reached)"),
        (replace(BOTH, held=None, broke=1.0), Verdict.FAIL, None, "not even 1 holds"),
    ],
)
def test_a_search_ends_in_one_verdict_with_its_level(
    found: Found, verdict: Verdict, value: float | None, said: str
) -> None:
    record = evidence_of(search(found), model="m", seed=3)

    assert (record.verdict, record.value, record.unit) == (verdict, value, "users")
    assert said in record.reason
    assert record.asked == "some load of at least 1 users keeps p80 ttft < 60ms"


def test_one_that_was_interrupted_never_passes() -> None:
    record = evidence_of(search(BOTH, interrupted=True), model="m", seed=3)

    assert record.verdict is Verdict.INCONCLUSIVE
    assert record.reason.startswith("interrupted")


@pytest.mark.parametrize(
    ("told", "kind"),
    [("real", "real"), ("unknown", "none"), ("vllm real, others emulated", "mixed")],
)
def test_it_says_what_stood_behind(told: str, kind: str) -> None:
    assert evidence_of(search(BOTH, engine=told), model="m", seed=3).engine == kind
