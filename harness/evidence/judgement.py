"""What a gate says of evidence: plain data, so that a report can draw it without the gate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.evidence.record import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.evidence.record import Evidence

UNCLAIMED = "unclaimed"
"""The row of evidence that no gate asks for; no gate may take its name."""

_SEVERITY = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The most severe of pass, inconclusive and fail; pass if there is none."""
    return max(verdicts, key=_SEVERITY.index, default=Verdict.PASS)


class Cause(StrEnum):
    """Why something besides a plain pass stands in a row."""

    FAIL = "fail"
    MISSING = "missing"
    NOT_RUN = "not-run"
    INCONCLUSIVE = "inconclusive"
    UNPROVEN = "unproven"
    """Nothing in the row passed, so nothing was proven."""
    KNOWN = "known deviation"
    UNCLAIMED = "unclaimed"


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing to know about a row; ``effect`` is the verdict it forces (pass: a note)."""

    cause: Cause
    effect: Verdict
    text: str
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many records of each kind; ``known`` are fails that a recorded deviation explains."""

    passed: int = 0
    failed: int = 0
    known: int = 0
    inconclusive: int = 0
    not_run: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.passed + self.failed + self.known + self.inconclusive + self.not_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the verdict table; ``verdict`` is the worst effect among ``reasons``."""

    id: str
    title: str
    owner: str
    counts: Counts
    reasons: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]

    @property
    def verdict(self) -> Verdict:
        """Pass, inconclusive or fail."""
        return worst(reason.effect for reason in self.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """The verdict table; independent of the order in which evidence came."""

    rows: tuple[Row, ...]
    counts: Counts
    interrupted: bool = False

    @property
    def verdict(self) -> Verdict:
        """The worst row; an interrupted run is never better than inconclusive."""
        floor = (Verdict.INCONCLUSIVE,) if self.interrupted else ()
        return worst((*floor, *(row.verdict for row in self.rows)))

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive; 2 is kept for usage and configuration errors."""
        return {Verdict.PASS: 0, Verdict.FAIL: 1}.get(self.verdict, 3)
