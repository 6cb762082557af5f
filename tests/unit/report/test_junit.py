from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import Evidence, RunContext, Verdict
from harness.gate import Policy, judge
from harness.report import junit

if TYPE_CHECKING:
    Example = Any

POLICY = Policy.model_validate(
    {"gates": [{"id": "a", "title": "A", "owner": "o", "evidence": [{"check": "a.*"}]}]}
)
RUN = RunContext.model_validate(
    {"id": "r", "command": "c", "started": "2026-11-21T00:00:00Z", "seed": 7, "engine": "emulated"}
)


def parsed(example: Example) -> ET.Element:
    return ET.fromstring(junit(example.run, example.evidence, example.report))  # noqa: S314


@pytest.mark.parametrize("mood", ["red", "green", "interrupted", "empty"])
def test_the_numbers_are_those_of_the_cases(mood: str, request: pytest.FixtureRequest) -> None:
    root = parsed(request.getfixturevalue(mood))

    for element in (root, *root.iter("testsuite")):
        found = Counter(
            next((child.tag for child in case if child.tag != "system-out"), "passed")
            for case in element.iter("testcase")
        )
        assert element.get("tests") == str(found.total())
        assert element.get("failures") == str(found["failure"])
        assert element.get("errors") == str(found["error"])
        assert element.get("skipped") == str(found["skipped"])


def test_each_record_is_one_case(red: Example) -> None:
    cases = [(case.get("classname"), case.get("name")) for case in parsed(red).iter("testcase")]

    assert sorted(cases) == sorted((one.check, one.subject) for one in red.evidence)


@pytest.mark.parametrize("mood", ["red", "green", "interrupted", "empty"])
def test_a_suite_is_clean_exactly_if_its_row_passed(
    mood: str, request: pytest.FixtureRequest
) -> None:
    example = request.getfixturevalue(mood)
    suites = {suite.get("name"): suite for suite in parsed(example).iter("testsuite")}

    for row in example.report.rows:
        suite = suites[row.id]
        clean = suite.get("failures") == suite.get("errors") == "0"
        assert clean == (row.verdict is Verdict.PASS)


def test_what_is_missing_is_a_case_that_fails(empty: Example) -> None:
    root = parsed(empty)

    assert root.get("failures") == root.get("tests")
    failure = next(root.iter("failure"))
    assert failure.get("type") == "missing"
    assert "needs 3 x check=config.schema" in str(failure.get("message"))


def test_an_interrupted_run_is_an_error_of_its_own(interrupted: Example) -> None:
    root = parsed(interrupted)

    assert root.findall("testsuite")[-1].get("name") == "run"
    assert root.findall("testsuite")[-1].findtext("testcase/error") == interrupted.run.trouble
    assert root.get("failures") == "0"
    assert int(root.get("errors") or 0) > 1


def test_a_known_deviation_is_skipped_with_its_reason(green: Example) -> None:
    skipped = [case.get("message") for case in parsed(green).iter("skipped")]

    assert len(skipped) == 4
    assert all(str(message).startswith("known deviation ") for message in skipped)


def test_figures_say_what_stood_behind_the_gateway(red: Example) -> None:
    outputs = [element.text or "" for element in parsed(red).iter("system-out")]

    assert sum("engine: emulated" in text for text in outputs) > 80
    assert any("limit 300" in text and "measured: 387 ms" in text for text in outputs)


text = st.text(max_size=30)


@given(check=text, subject=text, reason=text, asked=text, verdict=st.sampled_from(Verdict))
def test_any_text_gives_xml_that_parses(
    check: str, subject: str, reason: str, asked: str, verdict: Verdict
) -> None:
    record = Evidence(
        check=f"a.{check}", subject=subject, asked=asked, verdict=verdict, reason=reason
    )
    root = ET.fromstring(junit(RUN, [record], judge([record], POLICY)))  # noqa: S314

    assert root.get("tests") == "1"
