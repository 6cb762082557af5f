"""A run as its master writes it down and tells it, without Locust."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence import EVIDENCE_FILE, Evidence, Verdict
from harness.load.goodput import Met
from harness.load.journal.journal import Journal, JournalError, Writer
from harness.load.journal.rows import Row, dump
from harness.load.locusts import telling
from harness.load.locusts.clerk import GIVEN_UP
from harness.load.locusts.counting import ASKED
from harness.load.locusts.orders import Orders, trusted_said, vitals_said
from harness.load.locusts.run import STOPPED, Run
from harness.load.overview.overview import overview
from harness.load.profiles import PROFILES, Exact, Setting, Target
from harness.load.trust import Trusted
from harness.load.workload.prompts import Wording
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from pathlib import Path

TARGET = Target(name="chat", context=4096, providers=("vllm", "spare"))


def orders(profile: str = "smoke") -> Orders:
    return Orders(
        profile=profile,
        setting=Setting(targets=(TARGET,)),
        base_url="http://g.test/v1",
        key="sk-secret",
        timeout_s=60.0,
    )


def begun(folder: Path, *workers: str, profile: str = "smoke") -> Run:
    told = orders(profile)
    plan = told.plan(PROFILES)
    run = Run(plan, told, folder, workers=workers or ("a", "b"), slo=plan.slo)
    run.begin()
    run.complete = True
    return run


def line(number: int, *, failure: str = "") -> bytes:
    whole = not failure
    row = Row(
        due_unix_ns=number,
        ended_unix_ns=number + 1,
        number=number,
        name="chat",
        load=1.0,
        worker="",
        failure=failure,
        met=Met(whole=whole, why="", ttft_ms=5.0 if whole else None),
    )
    return json.dumps(dump(row)).encode()


def said(rows: int, **more: Any) -> dict[str, Any]:
    return {"rows": rows, "trouble": None, **more}


def bar(verdict: Verdict) -> list[dict[str, Any]]:
    reason = "" if verdict is Verdict.PASS else "client saturated: no"
    row = Evidence(
        check="load.client.cpu", subject="w", asked="?", verdict=verdict, value=1, reason=reason
    )
    return trusted_said(Trusted(evidence=(row,)))


def test_all_workers_rows_are_one_run(tmp_path: Path) -> None:
    run = begun(tmp_path / "j")
    run.take("a", [line(0), line(2)])
    run.take("b", [line(1)])
    run.done = {"a": said(2), "b": said(1)}
    assert run.close({}, "emulated") is None
    found = Journal.read(run.folder)
    assert [row.number for row in found.rows] == [0, 1, 2]
    assert found.facts.partial is None
    assert found.facts.engine == "emulated"
    assert run.summary().n == 3


def test_a_key_is_not_written_down(tmp_path: Path) -> None:
    run = begun(tmp_path / "j")
    run.close({}, "emulated")
    assert all(b"sk-secret" not in path.read_bytes() for path in run.folder.iterdir())


@pytest.mark.parametrize(
    ("done", "lost", "why"),
    [
        ({"a": said(1), "b": said(0)}, ["b"], "worker b was lost"),
        ({"a": said(1)}, [], "worker b did not hand in its last rows"),
        ({"a": said(5), "b": said(0)}, [], "4 rows of worker a did not arrive"),
        ({"a": said(1), "b": said(0, trouble="no engine")}, [], "worker b: no engine"),
    ],
)
def test_what_is_missing_makes_it_partial(
    tmp_path: Path, done: dict[str, Any], lost: list[str], why: str
) -> None:
    run = begun(tmp_path / "j")
    run.take("a", [line(0)])
    run.done, run.lost = done, lost
    partial = run.close({}, "unknown")
    assert partial is not None
    assert why in partial
    assert why in (Journal.read(run.folder).facts.partial or "")
    assert telling.code(run, run.summary(), partial, None) == 1


def test_a_run_that_was_stopped_says_so_and_ends_like_an_interrupt(tmp_path: Path) -> None:
    run = begun(tmp_path / "j", "a")
    run.complete = False
    run.take("a", [line(0)])
    run.done = {"a": said(1)}
    partial = run.close({}, "unknown")
    assert partial == STOPPED
    assert telling.code(run, run.summary(), partial, None) == 130


@pytest.mark.parametrize(("why", "code"), [(GIVEN_UP, 130), ("the process died", 1)])
def test_who_wants_to_wait_no_longer_for_rows_gets_the_code_of_an_interrupt(
    tmp_path: Path, why: str, code: int
) -> None:
    run = begun(tmp_path / "j", "a")
    run.take("a", [line(0)])
    run.done = {"a": said(1, trouble=f"3 of 4 answers were not judged: {why}")}
    partial = run.close({}, "unknown")
    assert partial == f"worker a: 3 of 4 answers were not judged: {why}"
    assert telling.code(run, run.summary(), partial, None) == code


def test_a_full_disk_ends_the_run_with_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(tmp_path / "j", "a")
    run.take("a", [line(0)])

    def full(*_: object) -> None:
        raise JournalError(f"no space ({errno.ENOSPC})")

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "add_lines", full)
        run.take("a", [line(1)])
    assert run.trouble is not None
    run.take("a", [line(2)])
    run.done = {"a": said(3)}
    partial = run.close({}, "unknown")
    assert partial is not None
    assert "no space" in partial
    assert telling.code(run, run.summary(), partial, None) == 2
    assert [row.number for row in Journal.read(run.folder).rows] == [0]


def test_a_report_without_rows_after_its_end_is_no_trouble(tmp_path: Path) -> None:
    run = begun(tmp_path / "j", "a")
    run.take("a", [line(0)])
    run.done = {"a": said(1)}
    partial = run.close({}, "emulated")
    run.take("a", [])
    assert run.trouble is None
    assert telling.code(run, run.summary(), partial, None) == 0
    run.take("a", [line(1)])
    assert run.trouble is not None


def test_rows_of_a_stranger_are_not_taken(tmp_path: Path) -> None:
    run = begun(tmp_path / "j", "a")
    run.take("stranger", [line(0)])
    assert run.summary().n == 0


@pytest.mark.parametrize(
    ("lines", "verdict", "code"),
    [
        ([line(0)], Verdict.PASS, 0),
        ([line(0)], Verdict.INCONCLUSIVE, 3),
        ([line(0, failure="error 429")], Verdict.PASS, 1),
        ([line(0, failure="reset")], Verdict.INCONCLUSIVE, 1),
        ([], Verdict.PASS, 1),
    ],
)
def test_the_exit_code_is_the_worst_there_is(
    tmp_path: Path, lines: list[bytes], verdict: Verdict, code: int
) -> None:
    run = begun(tmp_path / "j", "a")
    run.take("a", lines)
    run.done = {"a": said(len(lines), error_bar=bar(verdict))}
    partial = run.close({}, "unknown")
    client = telling.trusted(run)
    assert telling.code(run, run.summary(), partial, client) == code
    told = "\n".join(telling.lines(run, run.summary(), partial, client))
    assert ("INCONCLUSIVE" in told) is (verdict is Verdict.INCONCLUSIVE)
    assert str(run.folder) in told


def test_prompts_of_another_count_make_it_inconclusive(tmp_path: Path) -> None:
    run = begun(tmp_path / "j", "a")
    told = replace(run.orders, exact={"chat": Exact(wording=Wording(), added={"user": 1})})
    run.orders, run.done = told, {"a": said(2, error_bar=bar(Verdict.PASS))}
    row = json.loads(line(0)) | {"labels": {ASKED: "7"}, "prompt_tokens": 7}
    run.take("a", [json.dumps(row).encode(), json.dumps(row | {"prompt_tokens": 8}).encode()])
    partial, client = run.close({}, "unknown"), telling.trusted(run)
    summary = run.summary()
    assert telling.code(run, summary, partial, client) == 3
    assert any("8 for 7 of chat" in one for one in telling.lines(run, summary, partial, client))
    kept = {one.check: one.verdict for one in telling.evidence(run, summary, client)}
    assert kept["load.prompt-tokens"] is Verdict.INCONCLUSIVE


def test_a_client_nobody_measured_is_not_believed(tmp_path: Path) -> None:
    run = begun(tmp_path / "j", "a")
    run.take("a", [line(0)])
    run.done = {"a": said(1)}
    client = telling.trusted(run)
    assert client is not None
    assert telling.code(run, run.summary(), None, client) == 3


def test_the_table_says_how_the_client_fared(tmp_path: Path) -> None:
    run = begun(tmp_path / "j", "a")
    with LoadEngine() as engine:
        vitals = vitals_said(engine.vitals())
    run.done = {"a": said(0, vitals=vitals | {"slice_ns": 100_000})}
    told = telling.lines(run, run.summary(), None, None)
    assert any(one.startswith("client a: ") and "slices of 0.1 ms" in one for one in told)


def test_without_an_error_bar_the_table_says_what_that_means(tmp_path: Path) -> None:
    run = begun(tmp_path / "j", "a")
    run.orders = replace(run.orders, error_bar=False)
    run.take("a", [line(0)])
    told = telling.lines(run, run.summary(), None, telling.trusted(run))
    assert any("quote no figure" in one for one in told)


@pytest.mark.parametrize(
    ("lines", "error_bar", "verdicts"),
    [
        ([line(0)], bar(Verdict.PASS), ["pass", "pass"]),
        ([line(0)], bar(Verdict.INCONCLUSIVE), ["pass", "inconclusive"]),
        ([line(0), line(1, failure="reset")], bar(Verdict.PASS), ["fail", "pass"]),
        ([], bar(Verdict.PASS), ["fail", "pass"]),
        ([line(0)], None, ["pass", "inconclusive"]),
        ([line(0)], False, ["pass", "not-run"]),
    ],
)
def test_what_was_judged_is_kept_for_the_page(
    tmp_path: Path, lines: list[bytes], error_bar: Any, verdicts: list[str]
) -> None:
    run = begun(tmp_path / "j", "a")
    run.orders = replace(run.orders, error_bar=error_bar is not False)
    run.take("a", lines)
    run.done = {"a": said(len(lines), error_bar=error_bar or None)}
    assert run.close({"workers": telling.kept(run)}, "unknown") is None
    run.keep(telling.evidence(run, run.summary(), telling.trusted(run)))
    found = overview(run.folder)
    assert [each.verdict for each in found.evidence] == verdicts
    assert found.evidence[0].check in telling.EXPLAINED
    assert all(each.reason for each in found.evidence if each.verdict != "pass")
    assert found.facts.notes["workers"] == {"a": said(len(lines))}


def test_evidence_that_cannot_be_written_ends_the_run_with_code_2(tmp_path: Path) -> None:
    run = begun(tmp_path / "j", "a")
    run.take("a", [line(0)])
    run.done = {"a": said(1, error_bar=bar(Verdict.PASS))}
    partial, client = run.close({}, "unknown"), telling.trusted(run)
    (run.folder / EVIDENCE_FILE).mkdir()
    run.keep(telling.evidence(run, run.summary(), client))
    assert telling.code(run, run.summary(), partial, client) == 2


def test_engines_break_when_their_time_has_come(tmp_path: Path) -> None:
    run = begun(tmp_path / "j", "a", profile="fallback")
    assert run.due_breaks(at_s=1.0) == []
    assert run.due_breaks(at_s=16.0) == [("kill", "vllm")]
    assert run.due_breaks(at_s=20.0) == []
    assert run.due_breaks(at_s=40.0) == [("revive", "vllm")]


def test_a_journal_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    begun(tmp_path / "j", "a")
    with pytest.raises(JournalError, match="never overwritten"):
        begun(tmp_path / "j", "a")
