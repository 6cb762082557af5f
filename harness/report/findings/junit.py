"""Findings as JUnit XML, one test case each, for CI that shows nothing else."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from harness.registry import Severity
from harness.report.findings.view import one_line, tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.registry import Finding
    from harness.report.findings.view import Explained


def junit(findings: Sequence[Finding], explain: Callable[[str], Explained | None]) -> str:
    """A suite per file and a case per finding: an error fails, a warning passes with output.

    Without findings there is one case that passes, because most readers take an empty document
    for a run that did not happen.
    """
    errors, _ = tally(findings)
    root = ET.Element(
        "testsuites",
        name="harness findings",
        tests=str(max(len(findings), 1)),
        failures=str(errors),
        errors="0",
        skipped="0",
    )
    for file, group in groupby(findings, key=lambda finding: finding.file):
        listed = list(group)
        suite = _suite(root, file, len(listed), tally(listed)[0])
        for finding in listed:
            _case(suite, finding, explain(finding.rule))
    if not findings:
        ET.SubElement(
            _suite(root, "configuration", 1, 0), "testcase", classname="harness", name="no findings"
        )
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _suite(root: ET.Element, name: str, tests: int, failures: int) -> ET.Element:
    return ET.SubElement(
        root,
        "testsuite",
        name=one_line(name),
        tests=str(tests),
        failures=str(failures),
        errors="0",
        skipped="0",
    )


def _case(suite: ET.Element, finding: Finding, rule: Explained | None) -> None:
    title = f" {rule.title}" if rule else ""
    case = ET.SubElement(
        suite,
        "testcase",
        classname=one_line(finding.rule),
        name=one_line(f"{finding.place} {finding.rule}{title}"),
        file=one_line(finding.file),
        line=str(finding.line),
    )
    said = f"{one_line(finding.message)}\n{one_line(finding.remedy)}"
    if finding.severity is Severity.ERROR:
        failure = ET.SubElement(case, "failure", message=one_line(finding.message))
        failure.set("type", one_line(finding.rule))
        failure.text = said
    else:
        ET.SubElement(case, "system-out").text = f"warning: {said}"
