from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import Counts, Evidence, GateReport
from harness.gate import Policy, judge
from harness.report.html import page
from harness.report.junit import junit
from harness.report.markdown import markdown
from harness.report.view import (
    Kind,
    headline,
    items,
    kind,
    plain_engine,
    sections,
    tallies,
    visible,
)

if TYPE_CHECKING:
    Example = Any


def test_every_record_stands_in_exactly_one_section(red: Example) -> None:
    drawn = sections(items(red.evidence), red.report)

    indexes = [item.index for section in drawn for item in section.items]
    assert sorted(indexes) == list(range(len(red.evidence)))


def test_identical_records_are_not_lost(green: Example) -> None:
    twice = (*green.evidence, green.evidence[0])
    report = GateReport(rows=green.report.rows, counts=Counts())

    drawn = sections(items(twice), report)
    assert sum(len(section.items) for section in drawn) == len(twice)


def test_a_reason_leads_to_its_record(red: Example) -> None:
    drawn = {section.row.id: section for section in sections(items(red.evidence), red.report)}

    (note,) = drawn["fallback"].blocking
    assert note.item is not None
    assert red.evidence[note.item.index] == note.reason.evidence


def test_what_is_accepted_does_not_block(red: Example) -> None:
    drawn = {section.row.id: section for section in sections(items(red.evidence), red.report)}
    section = drawn["contract.llama-cpp-python"]

    assert section.blocking == ()
    assert {note.kind for note in section.remarks} == {Kind.KNOWN}


def test_real_engines_among_emulated_ones_are_named_wherever_it_is_told(green: Example) -> None:
    kinds = {"ollama": "emulated", "vllm": "real", "llama": "emulated"}
    run = green.run.model_copy(update={"engine": "mixed", "engines": kinds})
    records = [one.model_copy(update={"engine": "mixed"}) for one in green.evidence]
    said = "engine: vllm real, others emulated"

    assert plain_engine(run) == said
    for drawn in (
        page(run, records, green.report),
        markdown(run, records, green.report),
        junit(run, records, green.report),
    ):
        assert said in drawn
        assert "mixed" not in drawn
    assert plain_engine(green.run) == "engine: emulated"


def test_a_fail_with_a_deviation_is_known(green: Example) -> None:
    known = next(one for one in green.evidence if one.deviation)

    assert kind(known) is Kind.KNOWN
    assert kind(known.model_copy(update={"deviation": None})) is Kind.FAIL


@pytest.mark.parametrize(
    ("mood", "sentence"),
    [
        ("green", "All 13 promises hold."),
        ("red", "3 of 13 promises failed, 1 more undecided."),
        ("interrupted", "8 of 13 promises are undecided."),
        ("empty", "13 of 13 promises failed."),
    ],
)
def test_the_headline_says_the_verdict(
    mood: str, sentence: str, request: pytest.FixtureRequest
) -> None:
    assert headline(request.getfixturevalue(mood).report) == sentence


def test_an_interrupted_run_in_which_all_held_says_so(green: Example) -> None:
    report = GateReport(rows=green.report.rows, counts=Counts(), interrupted=True)

    assert "interrupted" in headline(report)


def test_a_fail_that_no_promise_covers_is_not_called_a_promise() -> None:
    failed = Evidence(check="new", subject="s", asked="a", verdict="fail", reason="r")
    passed = Evidence(check="a", subject="s", asked="a", verdict="pass")
    gate = {"id": "a", "title": "A", "owner": "o", "evidence": [{"check": "a"}]}
    report = judge([failed, passed], Policy.model_validate({"gates": [gate]}))

    assert headline(report) == "Something was found broken that no promise covers."


def test_counts_that_are_zero_are_not_drawn() -> None:
    assert tallies(Counts(passed=3, known=1)) == (
        ("passed", Kind.PASS, 3),
        ("known", Kind.KNOWN, 1),
    )


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("nul\x00", "nul\\x00"),
        ("rtl\u202eevil", "rtl\\u202eevil"),
        ("two\nlines", "two\nlines"),
        ("grün ≤ 漢字 😀", "grün ≤ 漢字 😀"),
    ],
)
def test_control_characters_are_spelt_out(text: str, drawn: str) -> None:
    assert visible(text) == drawn


@given(st.text())
def test_what_is_visible_can_be_written_as_xml(text: str) -> None:
    element = ET.Element("a")
    element.text = visible(text)

    read = ET.fromstring(ET.tostring(element))  # noqa: S314
    assert (read.text or "") == visible(text)
