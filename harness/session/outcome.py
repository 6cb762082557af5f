"""How a run ended, and how its evidence is judged again later."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from harness.claims import ClaimError, load_claims
from harness.claims.judge import check_of
from harness.evidence import EVIDENCE_FILE, Evidence, GateReport, RunContext, read, read_run
from harness.gate import Policy, judge, load_policy
from harness.report import verdict, write_all
from harness.report.claims import read_claims

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

POLICY = "gates.yaml"
CLAIMS = "claims.yaml"
CLAIMS_TIER = "claims"
"""What gates name in ``tiers`` to ask for evidence of a claim."""


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
    policy, asked = load_policy(config / POLICY), found.records
    checks = [each["check"] for claim in read_claims(directory) for each in claim["readings"]]
    if checks:
        policy = of_claims(policy, checks, known=known_checks(config))
        asked = asked_for(asked, policy)
    else:
        policy = policy.of(context.tier)
    report = judge(asked, policy, interrupted=context.interrupted or found.truncated)
    write_all(directory, context, found.records, report)
    return Outcome(directory=directory, run=context, report=report, evidence=list(found.records))


def of_claims(policy: Policy, checks: Sequence[str], *, known: Sequence[str] = ()) -> Policy:
    """The gates that ask for claims, but those that need one that was left out on purpose.

    ``checks`` are of the readings that were chosen, ``known`` those of all. A gate that needs one
    that nobody knows stays, and fails: its evidence is missing.
    """
    left_out = set(known) - set(checks)
    gates = tuple(
        gate
        for gate in policy.gates
        if all(
            CLAIMS_TIER in need.tiers
            and not (_among(need.check, left_out) and not _among(need.check, checks))
            for need in gate.evidence
        )
    )
    return policy.model_copy(update={"gates": gates})


def _among(glob: str, checks: Iterable[str]) -> bool:
    return any(fnmatchcase(check, glob) for check in checks)


def known_checks(config: Path) -> tuple[str, ...]:
    """The ids of the evidence of every reading in ``config``; none if the claims do not load."""
    try:
        claims = load_claims(config / CLAIMS).claims
    except ClaimError:
        return ()
    return tuple(check_of(claim, each) for claim in claims for each in claim.readings)


def asked_for(evidence: Iterable[Evidence], policy: Policy) -> tuple[Evidence, ...]:
    """What some gate of ``policy`` asks for; a refuted claim that none asks for blocks nothing."""
    needs = [need for gate in policy.gates for need in gate.evidence]
    return tuple(
        row for row in evidence if any(need.matches(row.check, row.subject) for need in needs)
    )
