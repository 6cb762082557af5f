from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence import Evidence, Verdict
from harness.report.claims import CLAIMS_FILE, drawn, figure, read_claims, summary
from harness.report.html import page
from harness.report.view import Kind, items

if TYPE_CHECKING:
    from pathlib import Path

    Example = Any

ROW = Evidence(
    check="claim.room.speed",
    subject="vllm",
    asked="?",
    verdict=Verdict.FAIL,
    reason="12.7 x, and at least 33.63 x was claimed",
    value=12.7,
    unit="x",
    engine="real",
)


def claim(**changes: Any) -> dict[str, Any]:
    reading = {
        "id": "speed",
        "check": "claim.room.speed",
        "means": "It is fast.",
        "expect": "at least 33.63 x",
        "hardware": "any",
        "status": "refuted",
        "page": "engines/staircase/index.html",
    }
    told = {
        "id": "room",
        "quote": "33.63x <b>advantage</b>",
        "document": "d.txt",
        "line": 120,
        "note": "",
        "status": "refuted",
        "readings": [reading, {**reading, "id": "other", "check": "claim.room.other"}],
    }
    return {**told, **changes}


def test_a_claim_is_drawn_with_the_records_that_speak_of_it() -> None:
    (one,) = drawn([claim()], items([ROW]))
    assert one.kind is Kind.FAIL
    assert [len(each.items) for each in one.readings] == [1, 0]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("reproduced", Kind.PASS),
        ("inconclusive", Kind.INCONCLUSIVE),
        ("not-run", Kind.NOT_RUN),
        ("made up", Kind.NOT_RUN),
    ],
)
def test_a_status_nobody_knows_never_looks_good(status: str, kind: Kind) -> None:
    (one,) = drawn([claim(status=status)], ())
    assert one.kind is kind


def test_the_summary_counts_what_there_is() -> None:
    found = drawn([claim(), claim(status="reproduced"), claim(status="not-run")], ())
    assert summary(found) == "1 reproduced, 1 refuted, 1 not run"


def test_the_page_has_the_words_escaped_the_reason_and_the_staircase(red: Example) -> None:
    text = page(red.run, [ROW], red.report, claims=[claim()])
    assert "33.63x &lt;b&gt;advantage&lt;/b&gt;" in text
    assert "12.7 x, and at least 33.63 x was claimed" in text
    assert 'href="engines/staircase/index.html"' in text
    assert "not reached" in text
    assert 'href="#claims"' in text


def test_a_page_without_claims_says_nothing_of_them(red: Example) -> None:
    assert "claims" not in page(red.run, red.evidence, red.report).partition("<main>")[2][:200]


def test_no_file_and_a_broken_one_are_no_claims(tmp_path: Path) -> None:
    assert read_claims(tmp_path) == []
    (tmp_path / CLAIMS_FILE).write_text("{")
    assert read_claims(tmp_path) == []
    (tmp_path / CLAIMS_FILE).write_text(json.dumps([claim()]))
    assert read_claims(tmp_path)[0]["id"] == "room"


def test_a_figure_is_as_exact_as_what_was_claimed() -> None:
    assert figure(ROW.model_copy(update={"value": 33.62890625})) == "33.63 x"
    assert figure(ROW.model_copy(update={"value": 33.0, "unit": "requests"})) == "33 requests"
    assert figure(ROW.model_copy(update={"value": 10_000.0, "unit": "ms"})) == "10,000 ms"


def test_the_headline_never_hides_what_was_refuted(red: Example) -> None:
    text = page(red.run, [ROW], red.report, claims=[claim()])
    assert "1 claim: 1 refuted." in text
