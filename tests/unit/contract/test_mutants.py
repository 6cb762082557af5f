from __future__ import annotations

from pathlib import Path

import pytest

from harness.contract.check import checks, find
from harness.contract.lane import Observations, judge
from harness.contract.mutants import Mutant, kills, mutants, table
from harness.evidence.record import Verdict

EVERY = checks(lane=None)
MATRIX = Path(__file__).parent / "golden" / "kills.txt"


def test_the_reference_passes_what_the_mutants_must_fail(good: Observations) -> None:
    assert {r.check.id: r.reason for r in judge(good, EVERY) if r.verdict is not Verdict.PASS} == {}


def test_no_check_is_without_a_mutant() -> None:
    assert {m.check for m in mutants()} == {c.id for c in EVERY}


@pytest.mark.parametrize("mutant", mutants(), ids=lambda m: f"{m.check}-{m.about}")
def test_a_check_fails_its_mutant(good: Observations, mutant: Mutant) -> None:
    (result,) = judge(mutant.breaks(good), [find(mutant.check)])
    assert result.verdict is Verdict.FAIL
    assert mutant.scenario in result.violations[0].where


def test_the_kill_matrix_is_as_written_down(good: Observations) -> None:
    assert table(kills(good, EVERY)) + "\n" == MATRIX.read_text(encoding="utf-8")


def test_a_check_that_sees_nothing_would_be_found_out(good: Observations) -> None:
    blind = Mutant("stream.done.last", "nothing is broken", "stream", lambda exchange: exchange)
    (result,) = judge(blind.breaks(good), [find(blind.check)])
    assert result.verdict is Verdict.PASS
    assert table({blind: ()}) == "stream.done.last  nothing is broken -> SURVIVED"
