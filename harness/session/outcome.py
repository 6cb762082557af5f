"""How a run ended, and how its evidence is judged again later."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.evidence import EVIDENCE_FILE, Evidence, GateReport, RunContext, read, read_run
from harness.gate import judge, load_policy
from harness.report import verdict, write_all

if TYPE_CHECKING:
    from pathlib import Path

POLICY = "gates.yaml"


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How a run ended: its folder, what was found, and the verdict over it."""

    directory: Path
    run: RunContext
    report: GateReport
    evidence: list[Evidence] = field(default_factory=list)
    trouble: str = ""

    def data(self) -> dict[str, Any]:
        """The verdict and all evidence as plain data."""
        return {
            **verdict(self.run, self.report),
            "exit_code": self.exit_code,
            "directory": str(self.directory),
            "trouble": self.trouble,
            "evidence": [one.model_dump(mode="json") for one in self.evidence],
        }

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive; trouble that cut the run short is a fail."""
        return 1 if self.trouble else self.report.exit_code


def rejudge(directory: Path, config: Path) -> Outcome:
    """Judge the evidence a run left in ``directory`` by the policy in ``config``, and draw it.

    Raises:
        EvidenceError, PolicyError: the one or the other cannot be read.
        ReportError: the report cannot be written.
    """
    context = read_run(directory)
    found = read(directory / EVIDENCE_FILE)
    policy = load_policy(config / POLICY).of(context.tier)
    report = judge(found.records, policy, interrupted=context.interrupted or found.truncated)
    write_all(directory, context, found.records, report)
    return Outcome(directory=directory, run=context, report=report, evidence=list(found.records))
