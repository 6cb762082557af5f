from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from harness.contract import deviations, rewrite
from harness.contract.check import find
from harness.contract.deviations import Ledger, LedgerError, expired, ledger_evidence, to_evidence
from harness.contract.lane import Observations, Result, judge
from harness.evidence.record import Verdict

Write = Callable[[str], Path]

TODAY = date(2026, 1, 15)
ENTRY = """\
  - id: echo
    check: chat.model.echo
    subject: "gateway:*"
    kind: bug
    versions: "1.106.2"
    issue: BerriAI/litellm#1
    since: 2026-01-01
    expires: 2026-06-30
    note: it names its own
"""
LEDGER = f"deviations:\n{ENTRY}"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "deviations.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def ledger(write: Write) -> Ledger:
    return deviations.load(write(LEDGER))


@pytest.fixture
def passing(good: Observations) -> list[Result]:
    return judge(good, [find("chat.model.echo")])


@pytest.fixture
def failing(good: Observations) -> list[Result]:
    edited = rewrite.document(good.seen["unary"].exchange, lambda body: body | {"model": "other"})
    return judge(good.replaced("unary", edited), [find("chat.model.echo")])


def apply(results: list[Result], ledger: Ledger, subject: str = "gateway:a") -> Result:
    (result,) = deviations.apply(results, ledger, TODAY, subject)
    return result


def test_a_known_failure_stays_a_failure_and_names_its_entry(
    failing: list[Result], ledger: Ledger
) -> None:
    result = apply(failing, ledger)
    assert result.verdict is Verdict.FAIL
    assert result.deviation == "echo"
    assert result.reason == failing[0].reason


def test_a_new_failure_has_no_excuse(failing: list[Result], ledger: Ledger) -> None:
    assert apply(failing, Ledger()).deviation is None
    assert apply(failing, ledger, "vllm").deviation is None


def test_a_fixed_deviation_fails_until_its_entry_is_deleted(
    passing: list[Result], ledger: Ledger
) -> None:
    result = apply(passing, ledger)
    assert result.verdict is Verdict.FAIL
    assert result.deviation is None
    assert "fixed upstream: delete the entry echo" in result.reason
    assert apply(passing, Ledger()).verdict is Verdict.PASS


def test_a_flaky_deviation_may_pass(
    passing: list[Result], failing: list[Result], write: Write
) -> None:
    flaky = deviations.load(write(LEDGER.replace("kind: bug", "kind: flaky")))
    assert apply(passing, flaky).verdict is Verdict.PASS
    assert apply(failing, flaky).deviation == "echo"


def test_an_expired_entry_excuses_nothing(
    failing: list[Result], passing: list[Result], write: Write
) -> None:
    old = deviations.load(write(LEDGER.replace("2026-06-30", "2026-01-14")))
    result = apply(failing, old)
    assert result.deviation is None
    assert "the entry echo expired on 2026-01-14" in result.reason
    assert apply(passing, old).verdict is Verdict.PASS


def test_an_entry_holds_through_its_last_day(failing: list[Result], write: Write) -> None:
    last = deviations.load(write(LEDGER.replace("2026-06-30", "2026-01-15")))
    assert apply(failing, last).deviation == "echo"
    assert expired(last, TODAY) == []


def test_expiry_is_told_with_its_line_and_judged(ledger: Ledger, write: Write) -> None:
    path = write(LEDGER.replace("2026-06-30", "2026-01-14"))
    old = deviations.load(path)
    (line,) = expired(old, TODAY)
    assert line.startswith(f"{path}:2:5  deviation echo expired on 2026-01-14")
    assert "BerriAI/litellm#1" in line

    (fine,) = ledger_evidence(ledger, TODAY)
    assert (fine.check, fine.subject) == ("deviation.current", "echo")
    assert (fine.verdict, fine.value, fine.unit) == (Verdict.PASS, 166, "d")
    (late,) = ledger_evidence(old, TODAY)
    assert (late.verdict, late.value, late.reason) == (Verdict.FAIL, -1, line)


def test_a_not_run_check_stays_not_run(good: Observations, ledger: Ledger) -> None:
    seen = good
    for name in ("unary", "stream", "stream_usage", "n2"):
        seen = seen.replaced(name, good.seen["bad_type"].exchange)
    result = apply(judge(seen, [find("chat.model.echo")]), ledger)
    assert result.verdict is Verdict.NOT_RUN


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        (LEDGER.replace("model.echo", "model.ecko"), ":3:12  No check is called 'chat.model.ecko'"),
        (LEDGER.replace("kind: bug", "kind: rumour"), ":5:11  kind: Input should be 'bug'"),
        (LEDGER.replace("2026-06-30", "soon"), ":9:14  expires: Input should be a valid date"),
        (LEDGER.replace("issue: BerriAI/litellm#1", "issue: 1"), ":7:12  issue: "),
        (LEDGER.replace("BerriAI/litellm#1", "a rumour"), ":7:12  issue: String should match"),
        (LEDGER.replace("    note:", "    nota:"), ":10:11  nota: Extra inputs are not permitted"),
        (LEDGER.replace("    kind: bug\n", ""), ":2:5  kind: Field required"),
        (LEDGER + ENTRY, ":11:5  the id echo is taken at"),
        ("deviations: {}\n", ":1:1  a ledger is a mapping with the one key 'deviations'"),
        ("deviations: []\nothers: []\n", ":1:1  a ledger is a mapping"),
        ("deviations: [\n", "deviations.yaml:"),
        ("deviations:\n  - 7\n", ":2:5  entry: Input should be a valid dictionary"),
    ],
)
def test_a_bad_ledger_is_refused_with_its_place(write: Write, text: str, trouble: str) -> None:
    with pytest.raises(LedgerError) as caught:
        deviations.load(write(text))
    assert trouble in str(caught.value)


def test_all_troubles_are_told_at_once(write: Write) -> None:
    text = LEDGER.replace("model.echo", "model.ecko") + ENTRY.replace("kind: bug", "kind: x")
    with pytest.raises(LedgerError) as caught:
        deviations.load(write(text))
    assert len(caught.value.troubles) == 2


def test_a_missing_ledger_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be read"):
        deviations.load(tmp_path / "none.yaml")


def test_an_empty_ledger_excuses_nothing(write: Write) -> None:
    assert deviations.load(write("deviations: []\n")) == Ledger()


def test_results_become_evidence(failing: list[Result], ledger: Ledger) -> None:
    held = deviations.apply(failing, ledger, TODAY, "gateway:a")
    (evidence,) = to_evidence("gateway:a", held, "emulated", replay="again", seed=3)
    assert evidence.check == "contract.chat.model.echo"
    assert evidence.subject == "gateway:a"
    assert evidence.asked == find("chat.model.echo").title
    assert evidence.verdict is Verdict.FAIL
    assert evidence.deviation == "echo"
    assert evidence.reason == "model is 'other', asked for 'reference-model' (unary: body)"
    assert evidence.recordings == failing[0].exchanges
    assert (evidence.engine, evidence.n, evidence.seed) == ("emulated", 4, 3)
    assert evidence.replay == "again"


def test_only_a_pass_has_no_reason(good: Observations) -> None:
    dead = dict.fromkeys(good.seen, good.seen["bad_type"].exchange)
    for evidence in to_evidence("x", judge(Observations.of(dead)), "none"):
        assert bool(evidence.reason) is (evidence.verdict is not Verdict.PASS)


@pytest.fixture
def real_only(write: Write) -> Ledger:
    return deviations.load(write(LEDGER + "    engine: real\n"))


def test_an_entry_for_real_engines_excuses_them_alone(
    failing: list[Result], real_only: Ledger
) -> None:
    excused = {
        engine: deviations.apply(failing, real_only, TODAY, "gateway:a", engine)[0].deviation
        for engine in ("real", "emulated", "mixed")
    }
    assert excused == {"real": "echo", "emulated": None, "mixed": None}


def test_an_entry_for_real_engines_is_strict_with_them_alone(
    passing: list[Result], real_only: Ledger
) -> None:
    fixed = deviations.apply(passing, real_only, TODAY, "gateway:a", "real")[0]
    assert (fixed.verdict, "fixed upstream" in fixed.reason) == (Verdict.FAIL, True)
    other = deviations.apply(passing, real_only, TODAY, "gateway:a", "emulated")[0]
    assert other.verdict is Verdict.PASS
