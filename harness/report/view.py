"""Evidence arranged for drawing: numbered, named and sorted under the rows of the verdict table."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from harness.evidence import (
    UNCLAIMED,
    Counts,
    Evidence,
    GateReport,
    Reason,
    Row,
    RunContext,
    Verdict,
)
from harness.stack import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Kind(Enum):
    """What is drawn of a record or a row: a word, and a glyph that needs no colour."""

    PASS = ("pass", "✓", "+")
    FAIL = ("fail", "✗", "x")
    KNOWN = ("known deviation", "≈", "~")
    INCONCLUSIVE = ("inconclusive", "?", "?")
    NOT_RUN = ("not run", "–", "-")  # noqa: RUF001  a dash is the glyph

    def __init__(self, word: str, glyph: str, ascii_glyph: str) -> None:
        self.word = word
        self.glyph = glyph
        self.ascii_glyph = ascii_glyph

    def of(self, number: int) -> str:
        """The word for so many of them."""
        return f"{self.word}s" if self is Kind.KNOWN and number != 1 else self.word

    @property
    def css(self) -> str:
        """A class name."""
        return self.name.lower().replace("_", "-")


def kind(evidence: Evidence) -> Kind:
    """Pass, fail, known deviation, inconclusive or not run."""
    if evidence.verdict is Verdict.FAIL and evidence.deviation:
        return Kind.KNOWN
    return verdict_kind(evidence.verdict)


def verdict_kind(verdict: Verdict) -> Kind:
    """The kind of a row or of the whole."""
    return Kind[verdict.name]


@dataclass(frozen=True, slots=True)
class Item:
    """A record and its number: its place in the evidence, counted from 0."""

    index: int
    evidence: Evidence

    @property
    def line(self) -> int:
        """Its line in the file of evidence."""
        return self.index + 1

    @property
    def kind(self) -> Kind:
        """Pass, fail, known deviation, inconclusive or not run."""
        return kind(self.evidence)


@dataclass(frozen=True, slots=True)
class Note:
    """A reason in a row, and the record it speaks of, if any."""

    reason: Reason
    item: Item | None

    @property
    def kind(self) -> Kind:
        """What the reason does to its row, or, where it does nothing, what its record is."""
        if self.reason.effect is Verdict.PASS and self.item is not None:
            return self.item.kind
        return verdict_kind(self.reason.effect)

    @property
    def blocks(self) -> bool:
        """Whether the row is not passed because of it."""
        return self.reason.effect is not Verdict.PASS


@dataclass(frozen=True, slots=True)
class Section:
    """A row of the verdict table, its reasons, and the records that no earlier row drew."""

    row: Row
    notes: tuple[Note, ...]
    items: tuple[Item, ...]

    @property
    def kind(self) -> Kind:
        """The row's verdict."""
        return verdict_kind(self.row.verdict)

    @property
    def blocking(self) -> tuple[Note, ...]:
        """What keeps the row from passing."""
        return tuple(note for note in self.notes if note.blocks)

    @property
    def remarks(self) -> tuple[Note, ...]:
        """What is worth knowing and does not block."""
        return tuple(note for note in self.notes if not note.blocks)


def items(evidence: Iterable[Evidence]) -> tuple[Item, ...]:
    """Every record with its number."""
    return tuple(Item(index, one) for index, one in enumerate(evidence))


def sections(numbered: Sequence[Item], report: GateReport) -> tuple[Section, ...]:
    """The rows of ``report`` with their records; each record stands in exactly one section."""
    places: dict[str, deque[Item]] = defaultdict(deque)
    for item in numbered:
        places[item.evidence.model_dump_json()].append(item)

    def find(one: Evidence | None) -> Item | None:
        found = None if one is None else places.get(one.model_dump_json())
        return found[0] if found else None

    drawn: set[int] = set()
    made = []
    for row in report.rows:
        mine = []
        for key in dict.fromkeys(one.model_dump_json() for one in row.evidence):
            mine += [item for item in places.get(key, ()) if item.index not in drawn]
        drawn.update(item.index for item in mine)
        notes = tuple(Note(reason, find(reason.evidence)) for reason in row.reasons)
        made.append(Section(row, notes, tuple(sorted(mine, key=lambda item: item.index))))
    return tuple(made)


def tallies(counts: Counts) -> tuple[tuple[str, Kind, int], ...]:
    """The counts that are not zero: the field of ``Counts``, the kind, the number."""
    fields = {
        "passed": Kind.PASS,
        "failed": Kind.FAIL,
        "known": Kind.KNOWN,
        "inconclusive": Kind.INCONCLUSIVE,
        "not_run": Kind.NOT_RUN,
    }
    found = ((name, kind, int(getattr(counts, name))) for name, kind in fields.items())
    return tuple(one for one in found if one[2])


def headline(report: GateReport) -> str:
    """The verdict as one sentence."""
    promises = [row for row in report.rows if row.id != UNCLAIMED]
    red = sum(row.verdict is Verdict.FAIL for row in promises)
    undecided = sum(row.verdict is Verdict.INCONCLUSIVE for row in promises)
    total = len(promises)
    if red:
        more = f", {undecided} more undecided" if undecided else ""
        return f"{red} of {total} promises failed{more}."
    if report.verdict is Verdict.FAIL:
        return "Something was found broken that no promise covers."
    if undecided:
        return f"{undecided} of {total} promises {'is' if undecided == 1 else 'are'} undecided."
    if report.interrupted:
        return "What was asked held, but the run was interrupted before it had asked everything."
    return "The promise holds." if total == 1 else f"All {total} promises hold."


def duration(run: RunContext) -> str:
    """How long the run took, as text."""
    seconds = run.seconds
    if seconds is None:
        return "unknown duration"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def visible(text: str) -> str:
    """``text`` with control characters spelt out, so that no report can be bent by one.

    Bytes of a broken server end up in reasons; an escape sequence must not reach a
    terminal, and XML 1.0 (section 2.2) has no way to write most of them.
    """
    return "".join(
        char if char == "\n" or (char.isprintable() or char == "\u00a0") else _spelt(char)
        for char in text
    )


def _spelt(char: str) -> str:
    return char.encode("unicode_escape").decode() if char != "\t" else "    "


def plain_engine(run: RunContext) -> str:
    """What every figure of the run has to say about itself; of several kinds, who was which."""
    if run.engine != "mixed":
        return f"engine: {run.engine}"
    return f"engine: {in_words(run.engines) if run.engines else 'real and emulated'}"
