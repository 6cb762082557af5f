"""The two grids: which tier answers when others are dead, and who keeps which clause."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.report.view import Item, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

KILL_CHECK = "fallback.kill-matrix"
KILL_LATENCY = "fallback.latency"
KILL_RECOVERY = "fallback.recovery"
_SUBJECT = re.compile(r"(?P<model>.+?) \[(?:down|revived): ?(?P<down>[^\]]*)\]")
_BETWEEN = " | "
_NOBODY = {"", "-", "none", "nothing", "nobody"}


def parse_subject(subject: str) -> tuple[str, tuple[str, ...]] | None:
    """Model and tiers of ``model [down: a, b]`` or ``[revived: a]``; None if it is neither."""
    match = _SUBJECT.fullmatch(subject)
    if match is None:
        return None
    names = tuple(name.strip() for name in match["down"].split(","))
    return match["model"], tuple(name for name in names if name.lower() not in _NOBODY)


class Tier(StrEnum):
    """What one tier of a chain did while some were dead."""

    ANSWERED = "answered"
    STANDBY = "stand-by"
    SKIPPED = "skipped"
    """Alive, first in line, and yet somebody else or an error answered."""
    DOWN = "down"
    RISEN = "answered while down"


@dataclass(frozen=True, slots=True)
class KillCase:
    """One subset of the chain dead: who answered, and how fast."""

    down: tuple[str, ...]
    item: Item
    latency: Item | None

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Who answered, or which error did: one name, or several joined by a bar."""
        value = self.item.evidence.value
        return () if value is None else tuple(str(value).split(_BETWEEN))

    @property
    def outcome(self) -> str:
        """The same as text."""
        return _BETWEEN.join(self.outcomes) or "no answer recorded"


@dataclass(frozen=True, slots=True)
class KillMatrix:
    """All cases of one model, fewest dead first; ``tiers`` in the order of the chain.

    ``recoveries`` are what was found after a tier came back, with its name.
    """

    model: str
    tiers: tuple[str, ...]
    cases: tuple[KillCase, ...]
    recoveries: tuple[tuple[str, Item], ...]

    def tier(self, case: KillCase, name: str) -> Tier:
        """What the tier ``name`` did in ``case``."""
        if name in case.outcomes:
            return Tier.RISEN if name in case.down else Tier.ANSWERED
        if name in case.down:
            return Tier.DOWN
        reached = [self.tiers.index(other) for other in case.outcomes if other in self.tiers]
        passed_over = not reached or self.tiers.index(name) < max(reached)
        return Tier.SKIPPED if passed_over else Tier.STANDBY

    def answered(self, case: KillCase) -> bool:
        """Whether a tier answered, and no error."""
        return any(name in self.tiers for name in case.outcomes)


def kill_matrices(items: Sequence[Item]) -> tuple[KillMatrix, ...]:
    """One matrix for each model whose chain was killed.

    The order of the chain is the order in which the case with the most dead tiers names
    them; a tier that no case names is not drawn.
    """
    latencies = {i.evidence.subject: i for i in items if i.evidence.check == KILL_LATENCY}
    cases: dict[str, list[KillCase]] = {}
    recoveries: dict[str, list[tuple[str, Item]]] = {}
    for item in items:
        parsed = parse_subject(item.evidence.subject)
        if parsed is None:
            continue
        model, names = parsed
        if item.evidence.check == KILL_CHECK:
            case = KillCase(names, item, latencies.get(item.evidence.subject))
            cases.setdefault(model, []).append(case)
        elif item.evidence.check == KILL_RECOVERY:
            recoveries.setdefault(model, []).append((" + ".join(names), item))
    return tuple(
        _matrix(model, found, tuple(recoveries.get(model, ()))) for model, found in cases.items()
    )


def _matrix(
    model: str, cases: list[KillCase], recoveries: tuple[tuple[str, Item], ...]
) -> KillMatrix:
    named = [name for case in sorted(cases, key=lambda c: -len(c.down)) for name in case.down]
    tiers = tuple(dict.fromkeys(named))

    def order(case: KillCase) -> tuple[int, list[int]]:
        return len(case.down), sorted(tiers.index(name) for name in case.down)

    return KillMatrix(model, tiers, tuple(sorted(cases, key=order)), recoveries)


@dataclass(frozen=True, slots=True)
class ContractMatrix:
    """Clauses against subjects; a cell holds what was found, or nothing where nobody asked."""

    checks: tuple[str, ...]
    direct: tuple[str, ...]
    through: tuple[str, ...]
    asked: dict[str, str]
    cells: dict[tuple[str, str], Item]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Engines asked directly, then models asked through the gateway."""
        return self.direct + self.through

    def kept(self, subject: str) -> tuple[int, int]:
        """How many clauses ``subject`` keeps, and how many it was asked."""
        found = [cell.kind for (_, name), cell in self.cells.items() if name == subject]
        return found.count(Kind.PASS), len(found)

    def deviations(self) -> dict[str, list[Item]]:
        """The cells a recorded deviation explains, by the deviation's id."""
        by_id: dict[str, list[Item]] = {}
        for item in self.cells.values():
            if item.kind is Kind.KNOWN and item.evidence.deviation:
                by_id.setdefault(item.evidence.deviation, []).append(item)
        return by_id


_GRAVEST = (Kind.FAIL, Kind.INCONCLUSIVE, Kind.NOT_RUN, Kind.KNOWN, Kind.PASS)


def contract_matrix(items: Sequence[Item], prefix: str = "contract.") -> ContractMatrix | None:
    """The contract as a grid, checks and subjects in order of appearance; None without evidence.

    Where one check was asked of one subject several times, the gravest answer is drawn.
    """
    mine = [item for item in items if item.evidence.check.startswith(prefix)]
    if not mine:
        return None
    cells: dict[tuple[str, str], Item] = {}
    for item in mine:
        key = (item.evidence.check.removeprefix(prefix), item.evidence.subject)
        held = cells.get(key)
        if held is None or _GRAVEST.index(item.kind) < _GRAVEST.index(held.kind):
            cells[key] = item
    subjects = dict.fromkeys(subject for _, subject in cells)
    return ContractMatrix(
        checks=tuple(dict.fromkeys(check for check, _ in cells)),
        direct=tuple(name for name in subjects if not name.startswith("gateway:")),
        through=tuple(name for name in subjects if name.startswith("gateway:")),
        asked={key[0]: item.evidence.asked for key, item in cells.items()},
        cells=cells,
    )
