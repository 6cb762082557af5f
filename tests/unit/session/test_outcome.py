from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from harness.evidence import (
    EVIDENCE_FILE,
    Evidence,
    EvidenceError,
    EvidenceStore,
    GateReport,
    RunContext,
    Verdict,
    write_run,
)
from harness.evidence.judgement import Counts
from harness.session import Outcome, rejudge

if TYPE_CHECKING:
    from pathlib import Path

GATES = """\
gates:
  - {id: one, title: One, owner: me, evidence: [{check: a.b}]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "gates.yaml").write_text(GATES)
    return folder


def kept(directory: Path, verdict: Verdict, *, interrupted: bool = False) -> Path:
    """A run folder with one piece of evidence."""
    run = RunContext(
        id="r", command="harness run", started=datetime.now(UTC), seed=1, engine="none"
    )
    write_run(directory, run.ended(interrupted=interrupted))
    with EvidenceStore(directory / EVIDENCE_FILE) as store:
        reason = "" if verdict is Verdict.PASS else "because"
        store.append(
            Evidence(check="a.b", subject="s", asked="holds", verdict=verdict, reason=reason)
        )
    return directory


@pytest.mark.parametrize(
    ("verdict", "code"), [(Verdict.PASS, 0), (Verdict.FAIL, 1), (Verdict.INCONCLUSIVE, 3)]
)
def test_kept_evidence_is_judged_again_with_the_same_exit_code(
    tmp_path: Path, config: Path, verdict: Verdict, code: int
) -> None:
    outcome = rejudge(kept(tmp_path / "runs" / "r", verdict), config)
    assert outcome.exit_code == code
    assert (tmp_path / "runs" / "latest" / "index.html").is_file()


def test_an_interrupted_run_never_passes_later(tmp_path: Path, config: Path) -> None:
    folder = kept(tmp_path / "runs" / "r", Verdict.PASS, interrupted=True)
    assert rejudge(folder, config).exit_code == 3


def test_a_changed_policy_judges_old_evidence_anew(tmp_path: Path, config: Path) -> None:
    folder = kept(tmp_path / "runs" / "r", Verdict.PASS)
    (config / "gates.yaml").write_text(GATES.replace("{check: a.b}", "{check: c.d}"))
    assert rejudge(folder, config).exit_code == 1, "its evidence is missing now"


def test_a_folder_without_evidence_says_what_to_name(tmp_path: Path, config: Path) -> None:
    folder = kept(tmp_path / "runs" / "r", Verdict.PASS)
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(EvidenceError, match=r"run\.json"):
        rejudge(folder, config)


def test_trouble_is_never_a_pass(tmp_path: Path) -> None:
    run = RunContext(id="r", command="x", started=datetime.now(UTC), seed=1, engine="none")
    report = GateReport(rows=(), counts=Counts())
    assert Outcome(directory=tmp_path, run=run, report=report).exit_code == 0
    assert Outcome(directory=tmp_path, run=run, report=report, trouble="died").exit_code == 1
