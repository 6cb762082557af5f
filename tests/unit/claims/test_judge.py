from __future__ import annotations

from itertools import product

import pytest

from harness.claims import Claim, Claims, Fact, Reading, Status, judge, judge_all
from harness.claims.judge import tally
from harness.evidence import Evidence, Verdict

MEASURED = Reading.model_validate(
    {
        "id": "a",
        "means": "It is at least two.",
        "expect": {"at_least": 2.0, "unit": "x"},
        "pinged": {"times": 1},
    }
)
OTHER = MEASURED.model_copy(update={"id": "b"})
CLAIM = Claim.model_validate(
    {"id": "c", "quote": "two", "document": "d.txt", "line": 1, "readings": [MEASURED, OTHER]}
)


def row(verdict: Verdict, reading: str = "a", subject: str = "s") -> Evidence:
    return Evidence(
        check=f"claim.c.{reading}", subject=subject, asked="?", verdict=verdict, reason="r"
    )


@pytest.mark.parametrize(
    ("fact", "verdict", "reason"),
    [
        (Fact(subject="s", value=3.0), Verdict.PASS, ""),
        (Fact(subject="s", value=1.0), Verdict.FAIL, "1 x, and at least 2 x was claimed"),
        (Fact(subject="s", value=3.0, doubt="busy"), Verdict.INCONCLUSIVE, "busy"),
        (Fact(subject="s", doubt="died"), Verdict.INCONCLUSIVE, "died"),
        (Fact(subject="s", why="no card"), Verdict.NOT_RUN, "no card"),
        (Fact(subject="s"), Verdict.NOT_RUN, "nothing was measured"),
        (Fact(subject="s", value=3.0, said="seen"), Verdict.PASS, "seen"),
    ],
)
def test_a_fact_is_judged(fact: Fact, verdict: Verdict, reason: str) -> None:
    found = judge(CLAIM, MEASURED, fact)
    assert (found.verdict, found.reason) == (verdict, reason)
    assert found.check == "claim.c.a"
    assert found.replay == "harness claims --only c.a"


def test_what_cannot_be_measured_is_not_run_and_never_passes() -> None:
    unmeasured = Reading.model_validate(
        {"id": "a", "means": "It is.", "unmeasured": {"why": "No card.", "how": "Buy one."}}
    )
    found = judge(CLAIM, unmeasured, Fact(subject="s", value=3.0))
    assert found.verdict is Verdict.NOT_RUN


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ((), Status.NOT_RUN),
        ((Verdict.NOT_RUN,), Status.NOT_RUN),
        ((Verdict.PASS,), Status.REPRODUCED),
        ((Verdict.PASS, Verdict.NOT_RUN), Status.REPRODUCED),
        ((Verdict.PASS, Verdict.INCONCLUSIVE), Status.INCONCLUSIVE),
        ((Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.PASS), Status.REFUTED),
    ],
)
def test_a_reading_is_what_its_rows_say(verdicts: tuple[Verdict, ...], status: Status) -> None:
    claims = Claims(claims=(CLAIM,))
    (judged,) = judge_all(claims, [row(verdict) for verdict in verdicts])
    assert judged.readings[0].status is status


@pytest.mark.parametrize(
    ("one", "other", "status"),
    [
        (Verdict.PASS, Verdict.PASS, Status.REPRODUCED),
        (Verdict.PASS, Verdict.FAIL, Status.REFUTED),
        (Verdict.PASS, Verdict.NOT_RUN, Status.NOT_RUN),
        (Verdict.NOT_RUN, Verdict.INCONCLUSIVE, Status.INCONCLUSIVE),
        (Verdict.INCONCLUSIVE, Verdict.FAIL, Status.REFUTED),
    ],
)
def test_a_claim_holds_only_however_it_is_read(
    one: Verdict, other: Verdict, status: Status
) -> None:
    (judged,) = judge_all(Claims(claims=(CLAIM,)), [row(one), row(other, "b")])
    assert judged.status is status


def test_missing_evidence_never_makes_a_claim_reproduced() -> None:
    for rows in ([], [row(Verdict.PASS)]):
        (judged,) = judge_all(Claims(claims=(CLAIM,)), rows)
        assert judged.status is Status.NOT_RUN


def test_rows_of_other_claims_are_not_taken() -> None:
    foreign = row(Verdict.FAIL).model_copy(update={"check": "claim.cc.a"})
    (judged,) = judge_all(Claims(claims=(CLAIM,)), [foreign])
    assert judged.readings[0].rows == ()


def test_the_tally_counts_every_claim_once() -> None:
    for one, other in product(Verdict, repeat=2):
        judged = judge_all(Claims(claims=(CLAIM,)), [row(one), row(other, "b")])
        assert sum(tally(judged).values()) == 1
