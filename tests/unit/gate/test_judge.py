from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import Cause, Evidence, Verdict
from harness.gate import Policy, judge, load_policy

ROOT = Path(__file__).parents[3]
AT = datetime(2026, 11, 21, tzinfo=UTC)


def evidence(
    check: str = "config.drift", subject: str = "litellm", verdict: str = "pass", **facts: object
) -> Evidence:
    asked = {"check": check, "subject": subject, "verdict": verdict, "asked": "it holds", "at": AT}
    return Evidence.model_validate({**asked, **facts})


def policy(*gates: dict[str, object]) -> Policy:
    return Policy.model_validate({"gates": gates})


def gate(id_: str = "drift", check: str = "config.drift", **facts: object) -> dict[str, object]:
    need = {
        "check": check,
        **{k: facts.pop(k) for k in ("at_least", "may_be_not_run") if k in facts},
    }
    return {"id": id_, "title": id_, "owner": "nobody", "evidence": [need], **facts}


def test_evidence_that_passes_passes_its_row() -> None:
    report = judge([evidence()], policy(gate()))

    assert report.rows[0].verdict is Verdict.PASS
    assert report.rows[0].reasons == ()
    assert report.exit_code == 0


def test_one_fail_fails_the_row_and_is_its_reason() -> None:
    broken = evidence(subject="b", verdict="fail", reason="line 7 differs")

    report = judge([evidence(), broken], policy(gate()))

    (reason,) = report.rows[0].reasons
    assert report.exit_code == 1
    assert reason.text == "line 7 differs"
    assert reason.evidence == broken


def test_missing_evidence_fails_and_says_what_is_missing() -> None:
    report = judge([evidence()], policy(gate(check="config.*", at_least=3)))

    (reason,) = report.rows[0].reasons
    assert report.exit_code == 1
    assert reason.cause is Cause.MISSING
    assert reason.text == "missing: needs 3 x check=config.* subject=*, found 1"


def test_the_same_question_asked_twice_is_one_answer() -> None:
    report = judge([evidence(), evidence()], policy(gate(at_least=2)))

    assert report.rows[0].verdict is Verdict.FAIL
    assert report.rows[0].counts.passed == 2


def test_a_recorded_deviation_is_accepted_counted_and_listed() -> None:
    known = evidence(verdict="fail", reason="code is an int", deviation="vllm-error-code")

    report = judge([known], policy(gate()))

    (row,) = report.rows
    assert row.verdict is Verdict.PASS
    assert (row.counts.known, row.counts.failed) == (1, 0)
    assert row.reasons[0].text == "known deviation vllm-error-code: code is an int"


def test_a_deviation_does_not_excuse_another_fail() -> None:
    known = evidence(verdict="fail", deviation="vllm-error-code")
    broken = evidence(subject="b", verdict="fail")

    assert judge([known, broken], policy(gate())).exit_code == 1


def test_not_run_fails_unless_the_requirement_permits_it() -> None:
    records = [evidence(), evidence(subject="b", verdict="not-run", reason="no GPU")]

    assert judge(records, policy(gate())).exit_code == 1
    assert judge(records, policy(gate(may_be_not_run=True))).exit_code == 0


def test_not_run_must_be_permitted_by_every_requirement_it_answers() -> None:
    needs = [{"check": "config.*", "may_be_not_run": True}, {"check": "config.drift"}]
    strict = policy({"id": "a", "title": "A", "owner": "o", "evidence": needs})

    report = judge([evidence(), evidence(subject="b", verdict="not-run")], strict)
    assert report.exit_code == 1


def test_a_row_in_which_nothing_ran_is_not_passed() -> None:
    records = [evidence(verdict="not-run", reason="no GPU")]

    (row,) = judge(records, policy(gate(may_be_not_run=True))).rows
    assert row.verdict is Verdict.INCONCLUSIVE
    assert row.reasons[0].cause is Cause.UNPROVEN


def test_inconclusive_leaves_the_row_open_unless_its_gate_allows_it() -> None:
    records = [evidence(), evidence(subject="b", verdict="inconclusive", reason="noise")]

    assert judge(records, policy(gate())).exit_code == 3
    assert judge(records, policy(gate(allow_inconclusive=True))).exit_code == 0


def test_a_row_that_is_all_noise_is_inconclusive_even_where_noise_is_allowed() -> None:
    records = [evidence(verdict="inconclusive", reason="noise")]

    assert judge(records, policy(gate(allow_inconclusive=True))).exit_code == 3


def test_a_fail_outweighs_noise() -> None:
    records = [evidence(verdict="inconclusive"), evidence(subject="b", verdict="fail")]

    assert judge(records, policy(gate())).exit_code == 1


def test_evidence_no_row_asks_for_is_listed_and_does_not_block() -> None:
    report = judge([evidence(), evidence("new.check", verdict="inconclusive")], policy(gate()))

    assert [row.id for row in report.rows] == ["drift", "unclaimed"]
    assert report.rows[1].reasons[0].evidence == evidence("new.check", verdict="inconclusive")
    assert report.exit_code == 0


def test_a_fail_no_row_asks_for_fails_the_verdict() -> None:
    report = judge([evidence(), evidence("new.check", verdict="fail")], policy(gate()))

    assert report.rows[0].verdict is Verdict.PASS
    assert report.exit_code == 1


def test_there_is_no_unclaimed_row_where_everything_is_claimed() -> None:
    assert [row.id for row in judge([evidence()], policy(gate())).rows] == ["drift"]


def test_an_interrupted_run_does_not_fail_for_what_it_never_reached() -> None:
    report = judge([], policy(gate()), interrupted=True)

    assert report.rows[0].verdict is Verdict.INCONCLUSIVE
    assert report.rows[0].reasons[0].text.startswith("not reached: needs 1 x ")
    assert report.exit_code == 3


def test_an_interrupted_run_is_not_passed_by_what_it_did_reach() -> None:
    report = judge([evidence()], policy(gate()), interrupted=True)

    assert report.rows[0].verdict is Verdict.PASS
    assert report.exit_code == 3


def test_an_interrupted_run_fails_for_what_it_found_broken() -> None:
    assert judge([evidence(verdict="fail")], policy(gate()), interrupted=True).exit_code == 1


def test_a_glob_is_case_sensitive() -> None:
    assert judge([evidence("Config.Drift")], policy(gate())).exit_code == 1


def test_one_record_may_stand_in_two_rows() -> None:
    report = judge([evidence()], policy(gate("one"), gate("two", check="config.*")))

    assert [row.counts.passed for row in report.rows] == [1, 1]
    assert report.counts.passed == 1


SHIPPED = load_policy(ROOT / "config" / "gates.yaml")
CHECKS = [need.check.replace("*", "x") for one in SHIPPED.gates for need in one.evidence]
SUBJECTS = ["vllm", "ollama", "gateway:m", "m [down: vllm]", "m [down: vllm, ollama]"]

records = st.builds(
    evidence,
    check=st.sampled_from([*CHECKS, "nobody.asked"]),
    subject=st.sampled_from(SUBJECTS),
    verdict=st.sampled_from([str(verdict) for verdict in Verdict]),
    reason=st.sampled_from(["", "because", "noise"]),
    deviation=st.none() | st.just("vllm-error-code"),
)
broken = records.map(
    lambda one: one.model_copy(update={"verdict": Verdict.FAIL, "deviation": None})
)
RANK = {Verdict.PASS: 0, Verdict.INCONCLUSIVE: 1, Verdict.FAIL: 2}


@given(st.booleans())
def test_without_evidence_no_row_passes(interrupted: bool) -> None:
    report = judge([], SHIPPED, interrupted=interrupted)

    expected = Verdict.INCONCLUSIVE if interrupted else Verdict.FAIL
    assert {row.verdict for row in report.rows} == {expected}


@given(st.lists(records, max_size=30), broken, st.booleans())
def test_a_failing_record_never_improves_a_row(
    found: list[Evidence],
    another: Evidence,
    interrupted: bool,
) -> None:
    before = judge(found, SHIPPED, interrupted=interrupted)
    after = judge([*found, another], SHIPPED, interrupted=interrupted)

    verdicts = {row.id: row.verdict for row in after.rows}
    assert all(RANK[verdicts[row.id]] >= RANK[row.verdict] for row in before.rows)
    assert after.verdict is Verdict.FAIL


@given(st.lists(records, max_size=30), st.randoms(use_true_random=False))
def test_the_order_of_evidence_does_not_matter(found: list[Evidence], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert judge(shuffled, SHIPPED) == judge(found, SHIPPED)


@given(st.lists(records, max_size=30))
def test_the_same_evidence_is_judged_the_same_and_left_as_it_was(found: list[Evidence]) -> None:
    copy = [one.model_copy(deep=True) for one in found]

    assert judge(found, SHIPPED) == judge(copy, SHIPPED)
    assert found == copy


@given(st.lists(records, max_size=30))
def test_every_record_stands_in_some_row(found: list[Evidence]) -> None:
    report = judge(found, SHIPPED)

    assert all(any(one in row.evidence for row in report.rows) for one in found)
    assert report.counts.total == len(found)


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.PASS])
def test_a_row_that_does_not_simply_pass_gives_its_reason(verdict: Verdict) -> None:
    (row,) = judge([evidence(verdict=verdict)], policy(gate())).rows

    assert row.reasons
    assert row.reasons[0].text
