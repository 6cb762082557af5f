"""Every rule about LiteLLM files, Prometheus rules and dashboards, by its own examples."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness.gateway.litellm_lint import LITELLM_RULES, lint_file
from harness.gateway.litellm_lint.examples import BASE, complete, marked
from harness.gateway.litellm_lint.rule import declare
from harness.registry import RULES, Rule, Severity

if TYPE_CHECKING:
    from pathlib import Path

    from harness.gateway.litellm_lint.config import Config
    from harness.registry import Finding

rules = pytest.mark.parametrize("each", LITELLM_RULES.values(), ids=list(LITELLM_RULES))
WHOLE = ("GW299", "GW301", "GW302", "GW303", "GW310")
"""Rules about other files than LiteLLM's: their examples are not completed."""


def findings(each: Rule[Config], example: str, folder: Path) -> list[Finding]:
    text = complete(example)
    if each.id in WHOLE:
        text = re.sub(" *# <--$", "", example.strip("\n"), flags=re.MULTILINE).encode()
    path = folder / "example.yaml"
    path.write_bytes(text)
    return lint_file(path)


@rules
def test_the_failing_example_breaks_this_rule_alone_at_its_line(
    each: Rule[Config], tmp_path: Path
) -> None:
    found = findings(each, each.failing, tmp_path)
    assert [(finding.rule, finding.line) for finding in found] == [
        (each.id, line) for line in marked(each.failing)
    ]
    assert {finding.severity for finding in found} == {each.severity}


@rules
def test_the_passing_example_breaks_no_rule(each: Rule[Config], tmp_path: Path) -> None:
    if each.passing:
        assert findings(each, each.passing, tmp_path) == []


@rules
def test_a_finding_is_a_sentence_about_a_place_in_the_text(
    each: Rule[Config], tmp_path: Path
) -> None:
    lines = each.failing.strip("\n").splitlines()
    for finding in findings(each, each.failing, tmp_path):
        assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1
        assert finding.message.endswith(".")
        assert finding.remedy.endswith((".", "?"))


@rules
def test_a_rule_explains_itself(each: Rule[Config]) -> None:
    assert re.fullmatch(r"GW[23]\d\d", each.id)
    for text in (each.title, each.why, each.remedy):
        assert text.strip() == text != ""
    assert each.why.endswith(".")
    assert each.remedy.endswith(".")
    assert not each.title.endswith(".")


def test_no_two_rules_share_a_title_or_an_id() -> None:
    titles = [each.title for each in LITELLM_RULES.values()]
    assert len(set(titles)) == len(titles)
    assert not LITELLM_RULES.keys() & RULES.keys()


def test_an_id_that_is_taken_is_refused() -> None:
    with pytest.raises(ValueError, match="two rules are called GW200"):
        declare(LITELLM_RULES["GW200"])


def test_the_file_that_completes_the_examples_is_clean(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("".join(BASE.values()))
    assert lint_file(path) == []


def test_errors_and_warnings_are_told_apart() -> None:
    severities = {each.severity for each in LITELLM_RULES.values()}
    assert severities == {Severity.ERROR, Severity.WARNING}
