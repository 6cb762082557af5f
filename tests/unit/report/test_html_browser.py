"""The page as a browser sees it: what is drawn is what was measured, and nothing is loaded."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from decimal import Decimal
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence import Evidence, GateReport
from harness.gate import Policy, judge
from harness.report import page
from harness.report.html import MOST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Example = Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
URL_ATTRIBUTES = {"src", "href", "xlink:href", "srcset", "action", "data", "poster", "formaction"}

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(NAMES)} is installed")


class Dom(HTMLParser):
    """Every element with its attributes and the text in it, of what the browser made."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.append("")
        if tag not in {"meta", "link", "input", "br", "wbr"}:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self.elements[self._open.pop()][0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for index in self._open:
            self.texts[index] += data

    def having(self, attribute: str) -> list[tuple[dict[str, str], str]]:
        return [
            (attributes, text)
            for (_, attributes), text in zip(self.elements, self.texts, strict=True)
            if attribute in attributes
        ]


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Dom]:
    def load(text: str) -> Dom:
        folder: Path = tmp_path_factory.mktemp("page")
        path = folder / "index.html"
        path.write_text(text, encoding="utf-8")
        command = [str(BROWSER), *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
        done = subprocess.run(
            [*command, path.as_uri()], capture_output=True, check=True, timeout=120
        )
        return Dom(done.stdout.decode())

    return load


@pytest.fixture(scope="module")
def red_dom(red: Example, browse: Callable[[str], Dom]) -> Dom:
    return browse(page(red.run, red.evidence, red.report))


def held(evidence: Evidence, field: str) -> float | str | None:
    """The field of a record, read without any help of the report."""
    if field.startswith("interval."):
        assert evidence.interval is not None
        return evidence.interval[int(field[-1])]
    value: float | str | None = getattr(evidence, field)
    return value


def test_every_number_drawn_is_the_number_measured(red: Example, red_dom: Dom) -> None:
    drawn = red_dom.having("data-evidence")

    for attributes, _ in drawn:
        record = red.evidence[int(attributes["data-evidence"])]
        value = held(record, attributes.get("data-field", "value"))
        expected = value if isinstance(value, str) else repr(value)
        assert attributes["data-value"] == expected
    assert len(drawn) > 200


def test_every_measured_value_is_drawn(red: Example, red_dom: Dom) -> None:
    drawn = {int(attributes["data-evidence"]) for attributes, _ in red_dom.having("data-evidence")}

    assert drawn == {i for i, one in enumerate(red.evidence) if one.value is not None}


def test_the_text_beside_a_number_says_that_number(red: Example, red_dom: Dom) -> None:
    checked = 0
    for attributes, text in red_dom.having("data-evidence"):
        record = red.evidence[int(attributes["data-evidence"])]
        value = held(record, attributes.get("data-field", "value"))
        if not isinstance(value, int | float):
            continue
        number = re.match(r"\s*(?:p\d+ )?(-?[\d.]+)", text)
        assert number is not None
        shown = Decimal(number[1])
        assert abs(shown - Decimal(value)) <= abs(Decimal(value)) / 200
        if record.bound is not None:
            assert (shown > Decimal(record.bound)) == (value > record.bound)
        checked += 1
    assert checked > 150


def test_the_counts_are_those_of_the_gate(red: Example, red_dom: Dom) -> None:
    rows = {row.id: row.counts for row in red.report.rows}
    counts = {**rows, "": red.report.counts}
    drawn = red_dom.having("data-count")

    for attributes, text in drawn:
        expected = getattr(counts[attributes["data-row"]], attributes["data-count"])
        assert attributes["data-value"] == str(expected)
        assert str(expected) in text
    assert {attributes["data-row"] for attributes, _ in drawn} == set(counts)


def test_each_record_is_listed_once_with_its_verdict(red: Example, red_dom: Dom) -> None:
    rows = [
        (attributes["id"], attributes["class"])
        for tag, attributes in red_dom.elements
        if tag == "tr" and re.fullmatch(r"e\d+", attributes.get("id", ""))
    ]
    classes = {"pass": "pass", "fail": "fail", "inconclusive": "inconclusive", "not-run": "not-run"}

    assert len(rows) == len(red.evidence)
    for name, css in rows:
        record = red.evidence[int(name[1:])]
        assert css == ("known" if record.deviation else classes[record.verdict])


def urls(dom: Dom) -> list[str]:
    found = [
        value
        for _, attributes in dom.elements
        for name, value in attributes.items()
        if name in URL_ATTRIBUTES
    ]
    styles = [attributes.get("style", "") for _, attributes in dom.elements]
    sheets = [
        text for (tag, _), text in zip(dom.elements, dom.texts, strict=True) if tag == "style"
    ]
    for css in (*styles, *sheets):
        found += re.findall(r"url\(([^)]*)\)", css)
        found += re.findall(r"@import\s+(\S+)", css)
    return found


def test_nothing_is_loaded(red_dom: Dom) -> None:
    assert all(url.startswith("#") or url == "data:," for url in urls(red_dom))
    policy = next(
        attributes["content"]
        for tag, attributes in red_dom.elements
        if tag == "meta" and "http-equiv" in attributes
    )
    assert policy.startswith("default-src 'none'")


def test_the_filter_appears_where_javascript_runs(red_dom: Dom) -> None:
    (form,) = [attributes for tag, attributes in red_dom.elements if tag == "form"]

    assert "hidden" not in form


def test_evidence_stays_text(green: Example, browse: Callable[[str], Dom]) -> None:
    attack = (
        "\"'></script></style></title><img src=http://evil.example/x onerror=alert(1)>{{ 7 * 7 }}"
    )
    facts = {"asked": attack, "reason": attack, "value": attack, "unit": attack, "replay": attack}
    checks = ["contract.", "route.", "latency.", "fallback.kill-matrix", "fallback.latency"]
    hostile = [
        Evidence.model_validate(
            {
                "check": check if check.startswith("fallback") else check + attack,
                "subject": f"{attack} [down: {attack}]",
                "verdict": verdict,
                "deviation": attack if verdict == "fail" else None,
                "recordings": (attack,),
                **facts,
            }
        )
        for check in checks
        for verdict in ("pass", "fail", "inconclusive")
    ]
    gate = {"id": attack, "title": attack, "owner": attack, "evidence": [{"check": "*"}]}
    report: GateReport = judge(hostile, Policy.model_validate({"gates": [gate]}))
    run = green.run.model_copy(update={"id": attack, "command": attack, "versions": {"x": attack}})

    dom = browse(page(run, hostile, report))

    tags = Counter(tag for tag, _ in dom.elements)
    assert tags["img"] == 0
    assert tags["script"] == 1
    assert all(url.startswith("#") or url == "data:," for url in urls(dom))
    assert not any(name.startswith("on") for _, attributes in dom.elements for name in attributes)
    shown = [attributes["data-value"] for attributes, _ in dom.having("data-evidence")]
    assert set(shown) == {attack}


def test_the_page_is_one_file_below_its_limit(red: Example) -> None:
    assert len(page(red.run, red.evidence, red.report).encode()) < MOST_BYTES
