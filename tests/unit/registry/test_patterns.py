from __future__ import annotations

from harness.registry import Registry, examine
from harness.registry.examples import sources
from harness.registry.patterns import claimant, patterns


def registry(listed: str) -> Registry:
    loaded, findings = examine(
        sources(f"model-mappings.yaml: {{routes: {{patterns: [{listed}]}}}}")
    )
    assert loaded is not None, findings
    return loaded


def test_a_whole_name_comes_before_the_longest_prefix_before_a_shorter_one() -> None:
    loaded = registry(
        "{match: a*, route: tiny}, {match: ab*, route: spare}, {regex: 'abc|x', route: tiny}"
    )
    texts = [claim.pattern.text for claim in patterns(loaded).claims("abc")]
    assert texts == ["abc|x", "ab*", "a*"]


def test_a_regex_with_a_provider_stands_for_the_models_it_matches() -> None:
    loaded = registry("{regex: 't.n.', provider: spare}")
    assert patterns(loaded).names == ("tiny",)
    assert [claim.model for claim in patterns(loaded).claims("tiny")] == ["tiny"]
    assert list(patterns(loaded).claims("tony")) == []


def test_a_glob_with_a_provider_asks_its_catalogue() -> None:
    loaded = registry("{match: spare/*, provider: spare}, {match: s*, route: tiny}")
    assert claimant(loaded, "spare/tiny").pattern.text == "spare/*"  # type: ignore[union-attr]
    assert claimant(loaded, "spare/other").pattern.text == "s*"  # type: ignore[union-attr]
    assert claimant(loaded, "other") is None


def test_open_ends_are_no_names() -> None:
    assert patterns(registry("{regex: 'a|b.*', route: tiny}")).names == ("a",)
