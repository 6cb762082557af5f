"""The verdict table for a terminal, and plain text where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.report.numbers import measured, qualified
from harness.report.view import (
    Kind,
    Note,
    Section,
    duration,
    headline,
    items,
    plain_engine,
    sections,
    tallies,
    verdict_kind,
    visible,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from harness.evidence import Counts, Evidence, GateReport, RunContext

_STYLES = {
    Kind.PASS: "green",
    Kind.KNOWN: "blue",
    Kind.INCONCLUSIVE: "yellow",
    Kind.NOT_RUN: "bright_black",
    Kind.FAIL: "bold red",
}
_MOST_REASONS = 5
_MOST_EXCHANGES = 2
_WIDE = 98  # columns of a terminal that has room for the ids of the rows
_OTHERS = 62  # columns that the rest of such a table needs


def draw(
    console: Console, run: RunContext, evidence: Sequence[Evidence], report: GateReport
) -> None:
    """Print the verdict of a run on ``console``.

    Colour and line drawing are rich's business: none of either where the console is
    no terminal. Nothing from evidence is read as markup.
    """
    with console.capture() as capture:
        console.print(Group(*_parts(console, run, evidence, report)))
    text = capture.get()
    if not console.is_terminal:
        text = "\n".join(line.rstrip() for line in text.split("\n"))
    # Evidence may hold any character; the stream may not be able to write it.
    console.file.write(text.encode(console.encoding, "backslashreplace").decode(console.encoding))
    console.file.flush()


def _parts(
    console: Console, run: RunContext, evidence: Sequence[Evidence], report: GateReport
) -> Iterator[RenderableType]:
    drawn = sections(items(evidence), report)
    ascii_only = not console.encoding.startswith("utf")
    yield _table(console, drawn, ascii_only=ascii_only)
    for section in drawn:
        if section.blocking:
            yield from _reasons(section, ascii_only=ascii_only)
    yield Text()
    yield _verdict(run, report, ascii_only=ascii_only)
    yield Text(f"      {_facts(run, report)}", style="bright_black")
    if report.interrupted:
        yield Text("      The run was interrupted: the evidence gathered until then is kept.")
        if run.trouble:
            yield Padding(Text(visible(run.trouble.splitlines()[0])), (0, 0, 0, 6))


def _table(console: Console, drawn: Sequence[Section], *, ascii_only: bool) -> Table:
    lines = console.is_terminal
    table = Table(
        box=box.SIMPLE_HEAD if lines else None,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1 if lines else 2, 0, 0),
        header_style="bold" if lines else "",
    )
    table.add_column("Verdict", no_wrap=True)
    wide = console.width >= _WIDE
    # Where there is room for both, counts wrap before promises do.
    longest = max((len(section.row.title) for section in drawn), default=0)
    table.add_column("Promise", no_wrap=wide and longest <= console.width - _OTHERS)
    if wide:
        table.add_column("Row", no_wrap=True)
    table.add_column("Evidence")
    for section in drawn:
        cells = [
            _mark(section.kind, ascii_only=ascii_only),
            Text(visible(section.row.title)),
            Text(visible(section.row.id), style="bright_black"),
            _counts(section.row.counts),
        ]
        table.add_row(*(cells if wide else [*cells[:2], cells[3]]))
    return table


def _mark(kind: Kind, *, ascii_only: bool) -> Text:
    glyph = kind.ascii_glyph if ascii_only else kind.glyph
    return Text(f"{glyph} {kind.word}", style=_STYLES[kind])


def _counts(counts: Counts) -> Text:
    words = {Kind.KNOWN: "known"}
    texts = [(f"{n} {words.get(kind, kind.word)}", _STYLES[kind]) for _, kind, n in tallies(counts)]
    return Text(", ").join(Text(*text) for text in texts) if texts else Text("none")


def _reasons(section: Section, *, ascii_only: bool) -> Iterator[RenderableType]:
    yield Text()
    heading = _mark(section.kind, ascii_only=ascii_only)
    heading.append(f"  {visible(section.row.title)}", style="bold")
    yield heading.append(f"  {visible(section.row.id)}", style="not bold bright_black")
    for note in section.blocking[:_MOST_REASONS]:
        yield Padding(_reason(note), (0, 0, 0, 4))
    more = len(section.blocking) - _MOST_REASONS
    if more > 0:
        yield Text(f"    and {more} more, all in the report")


def _reason(note: Note) -> Text:
    if note.item is None:
        return Text(visible(note.reason.text))
    evidence = note.item.evidence
    text = Text(visible(f"{evidence.check} of {evidence.subject}"), style="bold")
    text.append(f"\n  {visible(note.reason.text)}", style="not bold")
    figure = measured(evidence)
    if figure:
        text.append(f"\n  measured {visible(figure)}", style="not bold")
        more = qualified(evidence)
        text.append(f" ({more})" if more else "", style="not bold")
    text.append(f"\n  evidence.jsonl:{note.item.line}", style="not bold bright_black")
    if evidence.recordings:
        named = ", ".join(evidence.recordings[:_MOST_EXCHANGES])
        more_of_them = len(evidence.recordings) - _MOST_EXCHANGES
        named += f" and {more_of_them} more" if more_of_them > 0 else ""
        text.append(f", exchange {visible(named)}", style="not bold bright_black")
    if evidence.replay:
        text.append(f"\n  ask again: {visible(evidence.replay)}", style="not bold")
    return text


def _verdict(run: RunContext, report: GateReport, *, ascii_only: bool) -> Text:
    kind = verdict_kind(report.verdict)
    glyph = kind.ascii_glyph if ascii_only else kind.glyph
    text = Text(f"{glyph} {kind.word.upper()}", style=_STYLES[kind])
    return text.append(f"  {headline(report)}  {plain_engine(run)}", style="default not bold")


def _facts(run: RunContext, report: GateReport) -> str:
    facts = [f"{report.counts.total} pieces of evidence", duration(run), f"seed {run.seed}"]
    return ", ".join([*facts, f"run {visible(run.id)}"])
