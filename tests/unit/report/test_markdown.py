from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence import Evidence
from harness.gate import Policy, judge
from harness.report import markdown

if TYPE_CHECKING:
    from collections.abc import Callable

    Example = Any


@pytest.mark.parametrize("mood", ["red", "green", "interrupted", "empty"])
def test_the_summary_is_as_it_was(
    mood: str, request: pytest.FixtureRequest, snapshot: Callable[[str, str], None]
) -> None:
    example = request.getfixturevalue(mood)

    snapshot(f"summary-{mood}.md", markdown(example.run, example.evidence, example.report))


def test_every_table_of_figures_says_what_stood_behind_the_gateway(red: Example) -> None:
    text = markdown(red.run, red.evidence, red.report)

    titles = re.findall(r"^### (?:Who answers|Latency).*$", text, re.MULTILINE)
    assert len(titles) == 2
    assert all("engine: emulated" in title for title in titles)


def test_evidence_cannot_break_the_table_or_bring_markup(green: Example) -> None:
    hostile = Evidence(
        check="a.b",
        subject="x | y\n| z",
        asked="?",
        verdict="fail",
        reason="<script>alert(1)</script> @everyone [x](http://evil.example) ```",
        replay="echo ```` `",
    )
    policy = Policy.model_validate(
        {"gates": [{"id": "a", "title": "A|B", "owner": "o", "evidence": [{"check": "a.b"}]}]}
    )
    text = markdown(green.run, [hostile], judge([hostile], policy))

    assert r"A\|B" in text
    assert "\n| z" not in text
    assert "<script>" not in text.replace(r"\<", "")
    assert r"\[x\](http://evil.example)" in text
    assert text.count("`````") == 2
