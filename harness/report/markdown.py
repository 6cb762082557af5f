"""The summary of a run for the page of a CI job, in GitHub's Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.report.charts import PREFIX
from harness.report.matrices import kill_matrices
from harness.report.numbers import limit, measured, number
from harness.report.view import (
    Item,
    Note,
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

    from harness.evidence import Counts, Evidence, GateReport, RunContext

_MOST_REASONS = 10
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~@&$])")


def markdown(run: RunContext, evidence: Sequence[Evidence], report: GateReport) -> str:
    """The summary of a run: verdict, rows, what blocks, who answered when, how fast."""
    numbered = items(evidence)
    parts = [
        *_head(run, report),
        *_rows(report, numbered),
        *_kills(run, numbered),
        *_latencies(run, numbered),
        "",
        "Run it again:",
        "",
        *_fenced(run.command),
    ]
    return "\n".join(parts) + "\n"


def _head(run: RunContext, report: GateReport) -> Iterator[str]:
    kind = verdict_kind(report.verdict)
    yield f"## {kind.glyph} {kind.word.capitalize()}"
    yield ""
    yield f"{_text(headline(report))} **{plain_engine(run)}**"
    if report.interrupted:
        yield ""
        yield "The run was interrupted: the evidence gathered until then is kept."
        if run.trouble:
            yield ""
            yield from _fenced(run.trouble)
    yield ""
    yield (
        f"{report.counts.total} pieces of evidence, {duration(run)}, seed {run.seed}, "
        f"run {_text(run.id)}, " + ", ".join(_text(f"{k} {v}") for k, v in run.versions.items())
    ).removesuffix(", ")


def _rows(report: GateReport, numbered: Sequence[Item]) -> Iterator[str]:
    drawn = sections(numbered, report)
    yield ""
    yield "| Verdict | Promise | Row | Evidence |"
    yield "| --- | --- | --- | --- |"
    for section in drawn:
        row = section.row
        mark = f"{section.kind.glyph} {section.kind.word}"
        yield f"| {mark} | {_text(row.title)} | {_text(row.id)} | {_counts(row.counts)} |"
    for section in drawn:
        if not section.blocking:
            continue
        yield ""
        yield f"### {section.kind.glyph} {_text(section.row.title)}"
        yield ""
        for note in section.blocking[:_MOST_REASONS]:
            yield from _reason(note)
        more = len(section.blocking) - _MOST_REASONS
        if more > 0:
            yield f"- and {more} more, all in the report"


def _reason(note: Note) -> Iterator[str]:
    if note.item is None:
        yield f"- {_text(note.reason.text)}"
        return
    record = note.item.evidence
    found = f", measured {_text(measured(record))}" if record.value is not None else ""
    bound = f", limit {limit(record.bound)}" if record.bound is not None else ""
    who = _text(f"{record.check} of {record.subject}")
    yield f"- **{who}**: {_text(note.reason.text)}{found}{bound}"
    if record.replay:
        yield ""
        yield from (f"  {line}" for line in _fenced(record.replay))


def _kills(run: RunContext, numbered: Sequence[Item]) -> Iterator[str]:
    for matrix in kill_matrices(numbered):
        yield ""
        yield f"### Who answers for {_text(matrix.model)} ({plain_engine(run)})"
        yield ""
        yield "| Down | Answer | After | Verdict |"
        yield "| --- | --- | --- | --- |"
        for case in matrix.cases:
            down = _text(" + ".join(case.down) or "nothing")
            after = _text(measured(case.latency.evidence)) if case.latency else ""
            kind = case.item.kind
            yield f"| {down} | {_text(case.outcome)} | {after} | {kind.glyph} {kind.word} |"


def _latencies(run: RunContext, numbered: Sequence[Item]) -> Iterator[str]:
    mine = [item for item in numbered if item.evidence.check.startswith(PREFIX)]
    if not mine:
        return
    yield ""
    yield f"### Latency ({plain_engine(run)})"
    yield ""
    yield "| Metric | Subject | Value | 95 % CI | n | Limit | Verdict |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for item in mine:
        record = item.evidence
        ends = [number(end, record.bound) for end in record.interval or ()]
        cells = [
            _text(record.check.removeprefix(PREFIX)),
            _text(record.subject),
            _text(measured(record)),
            " to ".join(ends),
            "" if record.n is None else str(record.n),
            "" if record.bound is None else limit(record.bound),
            f"{item.kind.glyph} {item.kind.word}",
        ]
        yield f"| {' | '.join(cells)} |"


def _counts(counts: Counts) -> str:
    return ", ".join(f"{n} {kind.of(n)}" for _, kind, n in tallies(counts)) or "none"


def _text(text: str) -> str:
    """``text`` on one line, with everything Markdown or HTML would read as its own escaped."""
    return _SPECIAL.sub(r"\\\1", " ".join(visible(text).split()))


def _fenced(text: str) -> list[str]:
    """A code block that no backticks inside ``text`` can end (CommonMark 0.31, 4.5)."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *visible(text).split("\n"), fence]
