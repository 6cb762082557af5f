"""Findings as workflow commands, which GitHub shows beside the lines of a change.

Format and escapes: GitHub, "Workflow commands for GitHub Actions", and ``@actions/core``
(``command.ts``: ``escapeData``, ``escapeProperty``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report.findings.view import below, counted, one_line, tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.registry import Finding
    from harness.report.findings.view import Explained

SHOWN = 10
"""So many errors, and so many warnings, of one step become annotations; the rest is log only."""


def github(
    findings: Sequence[Finding], explain: Callable[[str], Explained | None], root: Path
) -> str:
    """One ``::error`` or ``::warning`` per finding; paths are relative to ``root``.

    Where GitHub would drop some of them from its annotations, a last ``::notice`` says so.
    """
    commands = [_command(finding, explain(finding.rule), root) for finding in findings]
    errors, warnings = tally(findings)
    if max(errors, warnings) > SHOWN:
        said = f"{counted(errors, warnings)}. GitHub annotates {SHOWN} of a kind; all are above."
        commands.append(f"::notice title=harness::{_data(said)}")
    return "".join(f"{command}\n" for command in commands)


def _command(finding: Finding, rule: Explained | None, root: Path) -> str:
    file = below(finding.file, root) or finding.file
    title = f"{finding.rule} {rule.title}" if rule else finding.rule
    properties = {
        "file": file,
        "line": str(finding.line),
        "col": str(finding.column),
        "title": title,
    }
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    said = f"{one_line(finding.message)}\n{one_line(finding.remedy)}"
    return f"::{finding.severity} {listed}::{_data(said)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text)).replace(":", "%3A").replace(",", "%2C")
