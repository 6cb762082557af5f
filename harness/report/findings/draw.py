"""One list of findings, drawn in the format that is asked for."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from harness.registry import RULES, Finding, Severity
from harness.report.findings.data import data
from harness.report.findings.github import github
from harness.report.findings.junit import junit
from harness.report.findings.sarif import sarif
from harness.report.findings.text import text
from harness.report.findings.view import Explained, Lines, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TextIO

    from rich.console import Console


class Format(StrEnum):
    """How findings can be drawn."""

    TEXT = "text"
    """For people: the source line, a caret, the remedy."""
    JSON = "json"
    """For programs, with a schema version."""
    SARIF = "sarif"
    """SARIF 2.1.0 for code scanning and editors."""
    GITHUB = "github"
    """Workflow commands, which become annotations."""
    JUNIT = "junit"
    """JUnit XML, for other CI."""


def draw(
    findings: Iterable[Finding],
    format: Format | str = Format.TEXT,  # noqa: A002  the word on the command line
    *,
    sources: Callable[[str], str | None] = read_text,
    explain: Callable[[str], Explained | None] = RULES.get,
    root: Path | None = None,
    console: Console | None = None,
) -> str:
    """``findings``, sorted by place, as text in ``format``; it ends in a line break unless empty.

    Every format holds the same findings, whatever their text is. ``sources`` gives the text of
    a file by the name findings use, or None: no excerpt is drawn then. ``explain`` gives title,
    reason and remedy of a rule by its id. Paths in SARIF and annotations are relative to
    ``root``, by default the current folder. Text has the colours and the width of ``console``
    if that is a terminal, else none and 100 columns.

    Raises:
        ValueError: there is no such format.
    """
    listed = sorted(findings)
    lines = Lines(sources)
    base = Path(os.path.abspath(root or Path()))  # noqa: PTH100  links stay as they are named
    match Format(format):
        case Format.TEXT:
            return text(listed, lines, console)
        case Format.JSON:
            return data(listed, explain)
        case Format.SARIF:
            return sarif(listed, lines, explain, base)
        case Format.GITHUB:
            return github(listed, explain, base)
        case Format.JUNIT:
            return junit(listed, explain)


def put(drawn: str, stream: TextIO) -> None:
    """Write ``drawn`` to ``stream``; what its encoding cannot express is spelt out."""
    encoding = stream.encoding or "utf-8"
    stream.write(drawn.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def exit_code(findings: Iterable[Finding], *, strict: bool = False, defect: int = 1) -> int:
    """0 if nothing is wrong, else ``defect``; warnings are allowed unless ``strict``.

    ``defect`` is 1 for a linter that found something, 2 for a command that cannot do its work
    because its configuration is broken.
    """
    wrong = any(strict or finding.severity is Severity.ERROR for finding in findings)
    return defect if wrong else 0
