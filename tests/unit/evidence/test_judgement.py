from __future__ import annotations

import pytest

from harness.evidence.judgement import Cause, Counts, GateReport, Reason, Row, worst
from harness.evidence.record import Verdict


def row(*effects: Verdict) -> Row:
    reasons = tuple(Reason(Cause.FAIL, effect, "because") for effect in effects)
    return Row(id="r", title="R", owner="o", counts=Counts(), reasons=reasons, evidence=())


def test_a_row_is_as_bad_as_its_worst_reason() -> None:
    assert row().verdict is Verdict.PASS
    assert row(Verdict.PASS, Verdict.INCONCLUSIVE).verdict is Verdict.INCONCLUSIVE
    assert row(Verdict.FAIL, Verdict.INCONCLUSIVE).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("effect", "code"), [(Verdict.PASS, 0), (Verdict.FAIL, 1), (Verdict.INCONCLUSIVE, 3)]
)
def test_the_exit_code_says_the_verdict(effect: Verdict, code: int) -> None:
    assert GateReport(rows=(row(effect),), counts=Counts()).exit_code == code


def test_an_interrupted_run_never_passes() -> None:
    report = GateReport(rows=(row(),), counts=Counts(), interrupted=True)

    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.exit_code == 3


def test_an_interrupted_run_may_still_fail() -> None:
    assert GateReport(rows=(row(Verdict.FAIL),), counts=Counts(), interrupted=True).exit_code == 1


def test_nothing_is_no_worse_than_a_pass() -> None:
    assert worst([]) is Verdict.PASS


def test_counts_add_up() -> None:
    assert Counts(passed=1, failed=2, known=3, inconclusive=4, not_run=5).total == 15
