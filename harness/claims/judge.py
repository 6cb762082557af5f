"""From what was measured to what is said of a claim; pure functions of plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.claims.expect import met
from harness.evidence import Behind, Evidence, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.claims.claim import Claim, Claims, Reading

PREFIX = "claim."
"""Evidence of a reading is called ``claim.CLAIM.READING``."""


class Status(StrEnum):
    """What is said of a claim or of one of its readings."""

    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not-run"
    REPRODUCED = "reproduced"


_BY_VERDICT = {
    Verdict.FAIL: Status.REFUTED,
    Verdict.INCONCLUSIVE: Status.INCONCLUSIVE,
    Verdict.NOT_RUN: Status.NOT_RUN,
    Verdict.PASS: Status.REPRODUCED,
}
_ORDER = tuple(Status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What one measurement found, not yet judged.

    ``value`` is None where nothing was measured; ``why`` then says why. ``doubt`` says why a
    measurement that was made must not be believed: a client that was saturated, an engine that
    died.
    """

    subject: str
    value: float | None = None
    interval: tuple[float, float] | None = None
    n: int | None = None
    engine: Behind = "none"
    why: str = ""
    doubt: str = ""
    said: str = ""
    """Besides the number: what was seen on the way to it."""
    page: str = ""
    """A page that shows more of it, by its path in the session's folder."""


@dataclass(frozen=True, slots=True)
class JudgedReading:
    """A reading and its evidence."""

    reading: Reading
    rows: tuple[Evidence, ...]

    @property
    def status(self) -> Status:
        """Refuted by any row, else doubtful by any, else reproduced by any that was run."""
        found = {_BY_VERDICT[row.verdict] for row in self.rows}
        for status in (Status.REFUTED, Status.INCONCLUSIVE, Status.REPRODUCED):
            if status in found:
                return status
        return Status.NOT_RUN


@dataclass(frozen=True, slots=True)
class JudgedClaim:
    """A claim and what is said of each of its readings."""

    claim: Claim
    readings: tuple[JudgedReading, ...]

    @property
    def status(self) -> Status:
        """The worst of its readings: it is reproduced only if it holds however it is read."""
        return min((each.status for each in self.readings), key=_ORDER.index)


def check_of(claim: Claim, reading: Reading) -> str:
    """The id of the evidence of a reading."""
    return f"{PREFIX}{claim.id}.{reading.id}"


def judge(claim: Claim, reading: Reading, fact: Fact) -> Evidence:
    """One fact, held against what the reading makes one expect."""
    expect = reading.expect
    unit = None if expect is None else expect.unit
    asked = reading.means if expect is None else f"{reading.means} ({expect})"
    if fact.doubt:
        verdict, reason = Verdict.INCONCLUSIVE, fact.doubt
    elif fact.value is None or expect is None:
        verdict, reason = Verdict.NOT_RUN, fact.why or "nothing was measured"
    else:
        verdict, reason = met(expect, fact.value, fact.interval)
    reason = "; ".join(each for each in (reason, fact.said) if each)
    return Evidence(
        check=check_of(claim, reading),
        subject=fact.subject,
        asked=asked,
        verdict=verdict,
        reason=reason,
        value=fact.value,
        unit=unit,
        n=fact.n,
        interval=fact.interval,
        bound=None if expect is None else expect.bound,
        engine=fact.engine,
        replay=f"harness claims --only {claim.id}.{reading.id}",
    )


def judge_all(claims: Claims, evidence: Iterable[Evidence]) -> tuple[JudgedClaim, ...]:
    """Every claim with the rows of ``evidence`` that speak of it; missing rows are not run."""
    rows: dict[str, list[Evidence]] = {}
    for row in evidence:
        rows.setdefault(row.check, []).append(row)
    return tuple(
        JudgedClaim(
            claim,
            tuple(
                JudgedReading(each, tuple(rows.get(check_of(claim, each), ())))
                for each in claim.readings
            ),
        )
        for claim in claims.claims
    )


def tally(judged: Sequence[JudgedClaim]) -> dict[Status, int]:
    """How many claims there are of each status, those that occur."""
    found = {status: sum(one.status is status for one in judged) for status in Status}
    return {status: count for status, count in found.items() if count}
