"""Invariants of findings: each defect is reported, where it stands, and nothing else is."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import strategies
from harness.registry import RULES, Severity, examine
from harness.registry.load import PROVIDERS
from harness.strategies import PLANTS, Defect

EXAMPLES = int(os.environ.get("HARNESS_PROPERTY_EXAMPLES", "25"))
prove = settings(max_examples=EXAMPLES, deadline=None)


@pytest.mark.parametrize("rule", sorted(PLANTS))
@settings(max_examples=max(3, EXAMPLES // 8), deadline=None)
@given(data=st.data())
def test_a_planted_defect_is_reported_by_its_rule_at_its_place(
    rule: str, data: st.DataObject
) -> None:
    defect = data.draw(strategies.defects(rule))
    findings = examine(defect.sources)[1]
    assert (defect.rule, defect.place) in {(each.rule, each.place) for each in findings}


@prove
@given(strategies.defects())
def test_a_planted_defect_is_the_only_error(defect: Defect) -> None:
    errors = [each for each in examine(defect.sources)[1] if each.severity is Severity.ERROR]
    expected = {defect.rule} if RULES[defect.rule].severity is Severity.ERROR else set()
    assert {each.rule for each in errors} == expected


@prove
@given(strategies.defects())
def test_an_error_leaves_no_registry_and_a_warning_does(defect: Defect) -> None:
    registry, _ = examine(defect.sources)
    assert (registry is None) == (RULES[defect.rule].severity is Severity.ERROR)


@prove
@given(strategies.defects())
def test_removing_the_cause_removes_the_finding_and_adds_none_of_its_rule(defect: Defect) -> None:
    def messages(sources: dict[str, bytes]) -> list[str]:
        findings = examine(sources)[1]
        return sorted(each.message for each in findings if each.rule == defect.rule)

    before, after = messages(defect.sources), messages(defect.healthy)
    assert len(after) < len(before)
    assert set(after) <= set(before)


@prove
@given(
    strategies.systems(), st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=9)
)
def test_a_secret_in_the_wrong_place_is_reported_but_not_repeated(
    system: strategies.System, secret: str
) -> None:
    system[PROVIDERS]["providers"]["p0"]["api_key"] = f"sk-{secret}"
    findings = examine(strategies.source_bytes(strategies.write(system)))[1]
    assert "GW022" in {each.rule for each in findings}
    assert not [each for each in findings if secret in str(each)]
