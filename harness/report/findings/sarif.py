"""Findings as SARIF 2.1.0, which code scanning and editors read.

Standard: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0"; sections are
cited as §. Limits: GitHub, "SARIF support for code scanning".
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from harness import __version__
from harness.registry import Severity
from harness.report.findings.excerpt import word_length
from harness.report.findings.fingerprint import LineHashes, line_fingerprints
from harness.report.findings.view import below, encodable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from harness.registry import Finding
    from harness.report.findings.view import Explained, Lines

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
MOST_RESULTS = 25_000
"""GitHub refuses a run with more results."""
_ROOT = "SRCROOT"
_LONGEST = 1024
"""GitHub refuses longer descriptions of a rule."""


def sarif(
    findings: Sequence[Finding],
    lines: Lines,
    explain: Callable[[str], Explained | None],
    root: Path,
) -> str:
    """One SARIF log with one run, ASCII only; paths below ``root`` are relative to it.

    Beyond :data:`MOST_RESULTS` the last warnings, then the last errors, are left out, and the
    log says so. No line of a source file is copied into it.
    """
    kept = _most_severe(findings)
    ids = sorted({finding.rule for finding in kept})
    order = {rule: index for index, rule in enumerate(ids)}
    described = {finding.rule: finding for finding in reversed(kept)}
    prints = _fingerprints(kept, lines, root)
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "harness",
                "semanticVersion": __version__,
                "rules": [_rule(described[id_], explain(id_)) for id_ in ids],
            }
        },
        # Left without a URI: where the sources lie is known to whoever reads the log (§3.14.14).
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the sources."}}},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(len(findings) - len(kept))],
        "results": [
            _result(finding, order[finding.rule], print_, lines, root)
            for finding, print_ in zip(kept, prints, strict=True)
        ],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _most_severe(findings: Sequence[Finding]) -> list[Finding]:
    if len(findings) <= MOST_RESULTS:
        return list(findings)
    errors_first = sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR)
    return sorted(errors_first[:MOST_RESULTS])


def _invocation(left_out: int) -> dict[str, Any]:
    invocation: dict[str, Any] = {"executionSuccessful": True}
    if left_out:
        said = f"{left_out} findings are left out: code scanning takes {MOST_RESULTS} a run."
        invocation["toolExecutionNotifications"] = [{"level": "warning", "message": {"text": said}}]
    return invocation


def _rule(finding: Finding, rule: Explained | None) -> dict[str, Any]:
    title = rule.title if rule else f"Rule {finding.rule}"
    why = rule.why if rule else f"{title}."
    remedy = rule.remedy if rule else finding.remedy
    return {
        "id": encodable(finding.rule),
        "shortDescription": {"text": _short(title)},
        "fullDescription": {"text": _short(why)},
        "help": {
            "text": encodable(f"{why}\n\nRemedy: {remedy}"),
            "markdown": encodable(f"{why}\n\n**Remedy:** {remedy}"),
        },
        "defaultConfiguration": {"level": str(finding.severity)},
        "properties": {"tags": ["configuration"], "problem.severity": str(finding.severity)},
    }


def _short(text: str) -> str:
    text = encodable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _result(
    finding: Finding, index: int, fingerprints: dict[str, str], lines: Lines, root: Path
) -> dict[str, Any]:
    return {
        "ruleId": encodable(finding.rule),
        "ruleIndex": index,
        "level": str(finding.severity),
        "message": {"text": encodable(f"{finding.message} {finding.remedy}")},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _location(finding.file, root),
                    "region": _region(finding, lines),
                }
            }
        ],
        "partialFingerprints": fingerprints,
    }


def _location(file: str, root: Path) -> dict[str, str]:
    """A relative reference where the file is below the root (§3.4.4), else a file URI."""
    relative = below(file, root)
    if relative is not None:
        return {"uri": _quoted(relative), "uriBaseId": _ROOT}
    path = _quoted(PurePath(root / file).as_posix())
    return {"uri": f"file://{path}" if path.startswith("/") else f"file:///{path}"}


def _quoted(path: str) -> str:
    # A file name is bytes; those that are no UTF-8 arrive as surrogates (PEP 383).
    try:
        return quote(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return quote(encodable(path))


def _region(finding: Finding, lines: Lines) -> dict[str, int]:
    """The word at the place; ``endColumn`` is the first column after it (§3.30.8)."""
    line, column = max(finding.line, 1), max(finding.column, 1)
    text = lines.line(finding.file, finding.line)
    length = 0 if text is None else word_length(text, column)
    return {"startLine": line, "startColumn": column, "endColumn": column + max(length, 1)}


def _fingerprints(
    findings: Sequence[Finding], lines: Lines, root: Path
) -> Iterator[dict[str, str]]:
    """For each finding its own fingerprint and GitHub's, by versioned name (§3.27.17)."""
    hashes: dict[str, LineHashes | None] = {}
    prints = line_fingerprints(findings, lines, lambda file: _location(file, root)["uri"])
    for finding, own in zip(findings, prints, strict=True):
        made = {"findingLine/v1": own}
        if finding.file not in hashes:
            text = lines.text(finding.file)
            hashes[finding.file] = None if text is None else LineHashes(text)
        known = hashes[finding.file]
        if known is not None:
            with suppress(IndexError):  # a place past the end of the file
                made["primaryLocationLineHash"] = known[max(finding.line, 1)]
        yield made
