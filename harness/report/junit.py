"""JUnit XML for CI servers.

One suite per row of the verdict table, one case per record; what the gate asked for
and did not find is a case of its own. What decides is what the record did to its row:

=====================================================  =================
the record                                             the case
=====================================================  =================
passed                                                 passed
fails its row (fail, not-run that is not permitted)    ``failure``
leaves its row inconclusive                            ``error``
is accepted (known deviation, permitted not-run, ...)  ``skipped``
is missing                                             as its row: ``failure``, or ``error``
                                                       in a run that was interrupted
=====================================================  =================

So a suite without failures and errors is a row that passed, and nothing that blocks
is ever shown as skipped. The element names are those of the Jenkins/Ant schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from harness.evidence import Verdict
from harness.report.numbers import measured, qualified
from harness.report.view import Item, Note, Section, items, plain_engine, sections, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.evidence import Evidence, GateReport, RunContext

_COUNTED = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def junit(run: RunContext, evidence: Sequence[Evidence], report: GateReport) -> str:
    """The JUnit XML document of a run, declaration included."""
    root = ET.Element("testsuites", name=f"llm-gateway-harness ({plain_engine(run)})")
    for section in sections(items(evidence), report):
        root.append(_suite(run, section))
    if report.interrupted:
        root.append(_interrupted(run))
    for name in ("tests", *_COUNTED.values()):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(run: RunContext, section: Section) -> ET.Element:
    suite = _element("testsuite", name=section.row.id, timestamp=run.started.isoformat())
    properties = ET.SubElement(suite, "properties")
    facts = {
        "title": section.row.title,
        "owner": section.row.owner,
        "run": run.id,
        "seed": str(run.seed),
        "engine": plain_engine(run).removeprefix("engine: "),
        "config_hash": run.config_hash,
        **{f"version.{name}": version for name, version in run.versions.items()},
    }
    properties.extend(_element("property", name=name, value=facts[name]) for name in facts)
    notes = {note.item.index: note for note in section.notes if note.item is not None}
    suite.extend(_case(item, notes.get(item.index)) for item in section.items)
    for note in section.notes:
        if note.item is None:
            case = _element("testcase", classname=section.row.id, name=note.reason.text)
            case.append(_outcome(note))
            suite.append(case)
    return _tallied(suite)


def _case(item: Item, note: Note | None) -> ET.Element:
    record = item.evidence
    case = _element("testcase", classname=record.check, name=record.subject)
    if note is not None:
        case.append(_outcome(note))
    lines = [f"asked: {record.asked}", f"evidence.jsonl:{item.line}"]
    if record.value is not None:
        lines.append(f"measured: {measured(record)}")
    if qualified(record):
        lines.append(qualified(record))
    if record.replay:
        lines.append(f"ask again: {record.replay}")
    ET.SubElement(case, "system-out").text = visible("\n".join(lines))
    return case


def _outcome(note: Note) -> ET.Element:
    tag = {Verdict.FAIL: "failure", Verdict.INCONCLUSIVE: "error"}.get(
        note.reason.effect, "skipped"
    )
    outcome = _element(tag, message=note.reason.text)
    if tag != "skipped":
        outcome.set("type", note.reason.cause)
        if note.item is not None and note.item.evidence.replay:
            outcome.text = visible(f"ask again: {note.item.evidence.replay}")
    return outcome


def _interrupted(run: RunContext) -> ET.Element:
    suite = _element("testsuite", name="run", timestamp=run.started.isoformat())
    case = ET.SubElement(suite, "testcase", classname="run", name="came to its end")
    message = "the run was interrupted before it had asked everything"
    error = ET.SubElement(case, "error", message=message, type="interrupted")
    error.text = visible(run.trouble)
    return _tallied(suite)


def _tallied(suite: ET.Element) -> ET.Element:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for tag, name in _COUNTED.items():
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))
    return suite


def _element(tag: str, **attributes: str) -> ET.Element:
    return ET.Element(tag, {name: visible(text) for name, text in attributes.items()})
