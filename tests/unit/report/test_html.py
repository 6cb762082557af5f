from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from harness.gate import Policy, judge
from harness.report import page
from harness.report.html import MOST_BYTES

if TYPE_CHECKING:
    Example = Any

POLICY_OF_ONE = Policy.model_validate(
    {"gates": [{"id": "all", "title": "All", "owner": "o", "evidence": [{"check": "*"}]}]}
)
MOODS = ["red", "green", "interrupted", "empty"]


def drawn(example: Example) -> str:
    return page(example.run, example.evidence, example.report)


class Outline(HTMLParser):
    """Ids, links and how often each element stands in a page; unbalanced tags are an error."""

    VOID = frozenset({"meta", "link", "input", "br", "wbr", "line", "circle", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [str(found["id"])] if "id" in found else []
        self.links += [str(found["href"])] if tag == "a" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.mark.parametrize("mood", MOODS)
def test_the_page_is_well_formed_and_its_links_lead_somewhere(
    mood: str, request: pytest.FixtureRequest
) -> None:
    outline = Outline(drawn(request.getfixturevalue(mood)))

    assert len(outline.ids) == len(set(outline.ids))
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)


@pytest.mark.parametrize("mood", MOODS)
def test_every_section_with_figures_says_what_stood_behind_the_gateway(
    mood: str, request: pytest.FixtureRequest
) -> None:
    text = drawn(request.getfixturevalue(mood))

    sections = re.findall(r"<section.*?</section>", text, re.DOTALL)
    assert len(sections) == 7
    assert all("engine: emulated" in section for section in sections)


@pytest.mark.parametrize(
    ("mood", "notices"),
    [
        ("empty", ["No evidence was gathered.", "No chain was killed", "No latency was measured"]),
        (
            "interrupted",
            ["Interrupted.", "before it got here.", "ollama died while the run went on"],
        ),
    ],
)
def test_what_is_not_there_is_said(
    mood: str, notices: list[str], request: pytest.FixtureRequest
) -> None:
    text = drawn(request.getfixturevalue(mood))

    assert all(notice in text for notice in notices)


def test_all_evidence_is_there_without_javascript(red: Example) -> None:
    text = drawn(red)

    assert len(re.findall(r'<tr id="e\d+"', text)) == len(red.evidence)
    assert all(one.replay in text for one in red.evidence)


def test_the_page_of_a_usual_run_is_small(red: Example) -> None:
    assert len(drawn(red).encode()) < MOST_BYTES / 2


def test_a_large_run_leaves_out_passes_and_says_so(red: Example) -> None:
    many = red.evidence * 4
    text = page(red.run, many, judge(many, POLICY_OF_ONE))

    assert len(text.encode()) < MOST_BYTES
    assert re.search(r"\d+ records are left out here", text)
    failed = [index for index, one in enumerate(many) if one.verdict != "pass"]
    assert [f'id="e{index}"' in text for index in failed] == [True] * len(failed)
    Outline(text)


def test_the_same_run_gives_the_same_page(red: Example) -> None:
    assert drawn(red) == drawn(red)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_in_both_themes(theme: int) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for text."""
    css = resources.files("harness.report").joinpath("page.css").read_text()
    block = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[theme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))

    for name in ("ink", "muted", "pass", "fail", "inconclusive", "known", "not-run"):
        assert _contrast(colours[name], colours["bg"]) >= 4.5
    for name in ("pass", "fail", "inconclusive", "known", "not-run"):
        assert _contrast(colours[name], colours[f"{name}-bg"]) >= 4.5
    for name in ("ink", "muted"):
        for kind in ("fail-bg", "inconclusive-bg", "known-bg", "track"):
            assert _contrast(colours[name], colours[kind]) >= 4.5
