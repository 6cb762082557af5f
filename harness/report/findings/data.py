"""Findings as JSON, for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.report.findings.view import encodable, tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.registry import Finding
    from harness.report.findings.view import Explained

SCHEMA_VERSION = 1
"""Goes up when a field changes its meaning or goes away; a new field leaves it as it is."""


def data(findings: Sequence[Finding], explain: Callable[[str], Explained | None]) -> str:
    """One JSON object, ASCII only: version, counts, and every finding in order.

    Each finding has ``id``, ``severity``, ``file``, ``line``, ``column`` (from 1, in
    characters), ``message``, ``remedy``, and ``title`` (null where the rule is not known).
    """
    errors, warnings = tally(findings)
    document = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "harness", "version": __version__},
        "errors": errors,
        "warnings": warnings,
        "findings": [_plain(finding, explain(finding.rule)) for finding in findings],
    }
    return json.dumps(document, indent=2) + "\n"


def _plain(finding: Finding, rule: Explained | None) -> dict[str, Any]:
    return {
        "id": encodable(finding.rule),
        "severity": str(finding.severity),
        "file": encodable(finding.file),
        "line": finding.line,
        "column": finding.column,
        "title": rule.title if rule else None,
        "message": encodable(finding.message),
        "remedy": encodable(finding.remedy),
    }
