"""Findings for people: each with its line, a caret under the place, and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from harness.registry import Finding, Severity
from harness.report.findings.excerpt import excerpt
from harness.report.findings.view import Lines, counted, one_line, tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

_WIDTH = 100
_NARROWEST = 40
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow"}
_QUIET = "bright_black"

Spans = list[tuple[str, str]]
"""One printed line: pieces of text with their style."""


def text(findings: Sequence[Finding], lines: Lines, console: Console | None = None) -> str:
    """``file:line:column  ID  message``, the source line with a caret, and the remedy.

    Plain, unless ``console`` is a terminal: then its colours and its width hold. Findings are
    separated by an empty line; the last line counts them. Empty if there are none.
    """
    if not findings:
        return ""
    drawn = console if console is not None and console.is_terminal else None
    width = max(drawn.width, _NARROWEST) if drawn else _WIDTH
    printed = [spans for finding in findings for spans in _block(finding, lines, width)]
    printed.append([(_summary(findings), "")])
    if drawn is None:
        return "".join("".join(piece for piece, _ in spans).rstrip() + "\n" for spans in printed)
    with drawn.capture() as capture:
        for spans in printed:
            drawn.print(Text.assemble(*spans), soft_wrap=True, highlight=False)
    return capture.get()


def _block(finding: Finding, lines: Lines, width: int) -> Iterator[Spans]:
    style = _STYLES[finding.severity]
    yield [
        (f"{one_line(finding.file)}:{finding.line}:{finding.column}", "bold"),
        ("  ", ""),
        (f"{one_line(finding.rule)}  {finding.severity}: ", style),
        (one_line(finding.message), ""),
    ]
    line = lines.line(finding.file, finding.line)
    margin = " "
    if line is not None:
        number = str(finding.line)
        margin = " " * (len(number) + 2)
        room = width - len(margin) - 3
        source, carets = excerpt(line, finding.column, width=room)
        yield [(f" {number} | ", _QUIET), (source, "")]
        yield [(f"{margin}| ", _QUIET), (carets, style)]
    yield [(f"{margin}= ", _QUIET), (f"help: {one_line(finding.remedy)}", "")]
    yield []


def _summary(findings: Sequence[Finding]) -> str:
    files = len({finding.file for finding in findings})
    where = "1 file" if files == 1 else f"{files} files"
    rule = one_line(findings[0].rule)
    return f"{counted(*tally(findings))} in {where}. `harness explain {rule}` says why it matters."
