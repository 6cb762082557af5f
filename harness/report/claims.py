"""The claims section of the page: each sentence, what it can mean, and what was found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.report.view import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.evidence import Evidence
    from harness.report.view import Item

CLAIMS_FILE = "claims.json"
"""What a session over claims leaves beside its evidence."""
KINDS = {
    "reproduced": Kind.PASS,
    "refuted": Kind.FAIL,
    "inconclusive": Kind.INCONCLUSIVE,
    "not-run": Kind.NOT_RUN,
}


@dataclass(frozen=True, slots=True)
class DrawnReading:
    """One thing a claim can mean, with its records."""

    id: str
    means: str
    expect: str
    hardware: str
    status: str
    items: tuple[Item, ...]
    page: str
    """A page that shows more, by its path from this one; empty if there is none."""

    @property
    def kind(self) -> Kind:
        """Its colour and glyph."""
        return KINDS.get(self.status, Kind.NOT_RUN)


@dataclass(frozen=True, slots=True)
class DrawnClaim:
    """A claim, as the page shows it."""

    id: str
    quote: str
    document: str
    line: int
    note: str
    status: str
    readings: tuple[DrawnReading, ...]

    @property
    def kind(self) -> Kind:
        """Its colour and glyph."""
        return KINDS.get(self.status, Kind.NOT_RUN)


def read_claims(directory: Path) -> list[dict[str, Any]]:
    """What a session left in ``directory``; empty where there is none, or it is not readable."""
    try:
        found = json.loads((directory / CLAIMS_FILE).read_bytes())
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []


def drawn(claims: Sequence[dict[str, Any]], numbered: Sequence[Item]) -> tuple[DrawnClaim, ...]:
    """``claims`` with the records of ``numbered`` that speak of each reading."""
    rows: dict[str, list[Item]] = {}
    for item in numbered:
        rows.setdefault(item.evidence.check, []).append(item)
    return tuple(
        DrawnClaim(
            id=claim["id"],
            quote=claim["quote"],
            document=claim["document"],
            line=claim["line"],
            note=claim["note"],
            status=claim["status"],
            readings=tuple(
                DrawnReading(
                    id=each["id"],
                    means=each["means"],
                    expect=each["expect"],
                    hardware=each["hardware"],
                    status=each["status"],
                    items=tuple(rows.get(each["check"], ())),
                    page=each.get("page", ""),
                )
                for each in claim["readings"]
            ),
        )
        for claim in claims
    )


def figure(evidence: Evidence) -> str:
    """The value of a record as it is held against a claim: two decimals, and its unit."""
    if not isinstance(evidence.value, int | float):
        return str(evidence.value or "")
    text = f"{evidence.value:,.2f}".removesuffix("0").removesuffix(".0")
    return f"{text} {evidence.unit or ''}".rstrip()


def headlined(claims: Sequence[DrawnClaim], said: str) -> str:
    """The headline of a session over claims: what the gates say, then what came of the claims."""
    if not claims:
        return said
    own = f"{len(claims)} {'claim' if len(claims) == 1 else 'claims'}: {summary(claims)}."
    return f"{said} {own}".strip()


def summary(claims: Sequence[DrawnClaim]) -> str:
    """How many of each status, as one line."""
    order = ("reproduced", "refuted", "inconclusive", "not-run")
    counts = [(name, sum(one.status == name for one in claims)) for name in order]
    return ", ".join(f"{count} {name.replace('-', ' ')}" for name, count in counts if count)
