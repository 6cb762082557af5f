from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness.registry import RULES, Registry, Rule, Severity, examine
from harness.registry.examples import BASE, sources
from harness.registry.rule import Hit, declare, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

rules = pytest.mark.parametrize("each", RULES.values(), ids=list(RULES))


@rules
def test_the_failing_example_breaks_exactly_this_rule(each: Rule[Registry]) -> None:
    findings = examine(sources(each.failing))[1]
    assert {finding.rule for finding in findings} == {each.id}
    assert {finding.severity for finding in findings} == {each.severity}


@rules
def test_the_passing_example_breaks_no_rule(each: Rule[Registry]) -> None:
    registry, findings = examine(sources(each.passing))
    assert findings == []
    assert registry is not None


@rules
def test_a_finding_points_into_the_text_it_is_about(each: Rule[Registry]) -> None:
    files = sources(each.failing)
    for finding in examine(files)[1]:
        lines = files.get(finding.file, b"").decode("utf-8", "replace").splitlines() or [""]
        assert 1 <= finding.line <= len(lines) + 1
        assert finding.column >= 1
        assert finding.message.endswith(".")
        assert finding.remedy.endswith((".", "?"))


@rules
def test_a_rule_explains_itself(each: Rule[Registry]) -> None:
    assert re.fullmatch(r"GW\d{3}", each.id)
    for text in (each.title, each.why, each.remedy):
        assert text.strip() == text != ""
    assert each.why.endswith(".")
    assert each.remedy.endswith(".")


def test_no_two_rules_share_a_title() -> None:
    titles = [each.title for each in RULES.values()]
    assert len(set(titles)) == len(titles)


def test_the_minimal_sources_are_clean() -> None:
    assert examine(sources("{}"))[1] == []
    assert "providers.yaml" in BASE


def test_an_id_that_is_taken_is_refused() -> None:
    with pytest.raises(ValueError, match="two rules are called GW101"):
        declare(RULES["GW101"])


def test_a_new_rule_is_one_function_and_no_edit_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(RULES, "GW999", RULES["GW101"])  # so that it goes with the test
    del RULES["GW999"]

    @rule(
        "GW999",
        title="The gateway is on port 4000",
        why="It is planted by a test.",
        remedy="Move it.",
        failing="{}",
        passing="ports.yaml: {services: {gateway: {port: 4001}}}",
        severity=Severity.WARNING,
    )
    def planted(registry: Registry) -> Iterator[Hit]:
        if registry.address("gateway")[1] == 4000:
            yield Hit(("services", "gateway", "port"), "It is on 4000.")

    assert [finding.rule for finding in examine(sources(planted.failing))[1]] == ["GW999"]
    assert examine(sources(planted.passing))[1] == []


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (RULES["GW101"].failing, "Did you mean 'local'?"),
        (RULES["GW102"].failing, "Did you mean 'tiny'?"),
        (RULES["GW103"].failing, "Did you mean 'tiny'?"),
        (RULES["GW104"].failing, "Did you mean 'gateway'?"),
        (
            "model-mappings.yaml: {routes: {aliases: {a: tiny, b: a}}}",
            "'a' is an alias, and only an exact route can stand here.  Write 'tiny'.",
        ),
        (RULES["GW131"].failing, "tiny -> spare -> tiny"),
        (RULES["GW150"].failing, "the resident models need 25.2 GB, 'box' has 16 GB"),
    ],
)
def test_a_finding_says_what_was_probably_meant(example: str, words: str) -> None:
    (finding,) = examine(sources(example))[1]
    assert words in str(finding)


def test_an_alias_of_a_capability_is_refused_with_the_reason() -> None:
    example = """
model-mappings.yaml:
  routes: {aliases: {talk: chat}}
  capabilities: {chat: [{route: tiny, priority: 1}]}
"""
    (finding,) = examine(sources(example))[1]
    assert finding.message == "'chat' is a capability, and only an exact route can stand here."


def test_every_kind_of_reference_to_a_route_is_checked() -> None:
    example = """
model-mappings.yaml:
  public_models: [gone]
  routes:
    aliases: {small: gone}
    patterns: [{match: x*, route: gone}, {match: y*, provider: gone}]
  capabilities: {chat: [{route: gone, priority: 1}]}
  load_balancing: {both: {strategy: weighted, members: [{route: tiny, weight: 1},
                                                        {route: gone, weight: 1}]}}
  fallback_chains: {c: [tiny, gone]}
"""
    places = [finding.rule for finding in examine(sources(example))[1]]
    assert sorted(places) == ["GW101", *["GW103"] * 5, "GW108"]


def test_one_cycle_is_reported_once() -> None:
    example = """
model-mappings.yaml:
  routes: {exact: {tiny: {chain: a}, spare: {chain: b}, third: {provider: spare, model: tiny,
           chain: c}}}
  fallback_chains: {a: [tiny, spare], b: [spare, third], c: [third, tiny]}
"""
    (finding,) = examine(sources(example))[1]
    assert finding.message == "The chains run in a circle: tiny -> spare -> third -> tiny."


def test_warnings_wait_until_the_errors_are_gone() -> None:
    example = """
model-mappings.yaml: {resilience: {retries: 2}, public_models: [tiny, tiny]}
"""
    assert [finding.rule for finding in examine(sources(example))[1]] == ["GW113"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_every_form_of_loopback_is_accepted(host: str) -> None:
    assert examine(sources(f"ports.yaml: {{host: '{host}'}}"))[1] == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.evil"])
def test_every_other_address_is_refused(host: str) -> None:
    (finding,) = examine(sources(f"ports.yaml: {{host: '{host}'}}"))[1]
    assert finding.rule == "GW141"


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://a.b", "http://[::1]:5"])
def test_an_origin_as_browsers_send_it_is_accepted(origin: str) -> None:
    assert (
        examine(sources(f"model-mappings.yaml: {{gateway: {{cors_origins: ['{origin}']}}}}"))[1]
        == []
    )


@pytest.mark.parametrize(
    "origin", ["localhost:3000", "http://a/", "http://a/b", "ftp://a", "http://u@a", "http://a:x"]
)
def test_what_no_browser_sends_is_refused(origin: str) -> None:
    example = f"model-mappings.yaml: {{gateway: {{cors_origins: ['{origin}']}}}}"
    assert [finding.rule for finding in examine(sources(example))[1]] == ["GW146"]


def ring(length: int) -> str:
    """Routes each of which falls back to the next, the last one to the first."""
    routes = ", ".join(
        f"r{n}: {{provider: spare, model: tiny, chain: c{n}}}" for n in range(length)
    )
    chains = ", ".join(f"c{n}: [r{n}, r{(n + 1) % length}]" for n in range(length))
    return f"""
model-mappings.yaml:
  routes: {{exact: {{{routes}}}}}
  fallback_chains: {{{chains}}}
"""


@pytest.mark.parametrize("length", [2, 3, 4, 5, 6, 40])
def test_a_cycle_of_any_length_is_found_once(length: int) -> None:
    (finding,) = examine(sources(ring(length)))[1]
    assert finding.rule == "GW131"
    assert finding.message.count(" -> ") == length


def test_a_long_chain_that_everybody_refers_to_is_no_cycle() -> None:
    names = [f"r{n}" for n in range(60)]
    routes = ", ".join(f"{name}: {{provider: spare, model: tiny, chain: c}}" for name in names)
    example = f"""
model-mappings.yaml:
  routes: {{exact: {{{routes}}}}}
  fallback_chains: {{c: [{", ".join(names)}]}}
"""
    assert examine(sources(example))[1] == []


def test_of_many_unknown_names_only_the_first_are_compared_with_the_known_ones() -> None:
    names = ", ".join(f"tiny{n}" for n in range(30))
    findings = examine(sources(f"model-mappings.yaml: {{public_models: [{names}]}}"))[1]
    meant = [finding.remedy.startswith("Did you mean") for finding in findings]
    assert (meant.count(True), len(meant)) == (20, 30)


@pytest.mark.parametrize("field", ["chain", "context_window_chain", "content_policy_chain"])
def test_every_kind_of_chain_is_checked_for_its_references(field: str) -> None:
    unknown = f"model-mappings.yaml: {{routes: {{exact: {{tiny: {{{field}: gone}}}}}}}}"
    assert [f.rule for f in examine(sources(unknown))[1]] == ["GW105"]
    outside = f"""
model-mappings.yaml:
  routes: {{exact: {{tiny: {{{field}: c}}, third: {{provider: spare, model: tiny}}}}}}
  fallback_chains: {{c: [spare, third]}}
"""
    assert [f.rule for f in examine(sources(outside))[1]] == ["GW132"]


def test_what_a_chain_may_lose_is_said_by_the_route_it_belongs_to() -> None:
    example = """
providers.yaml: {providers: {local: {models: [{name: tiny, served_as: tiny, context_length: 4096,
  vram_gb: 6, capabilities: [chat, tools, code], mode: chat, residency: always}]}}}
model-mappings.yaml: {routes: {exact: {tiny: {chain: c}}}, fallback_chains: {c: [tiny, spare]}}
"""
    (finding,) = examine(sources(example))[1]
    assert finding.message == "'spare' lacks tools, code, which 'tiny' before it has."


def test_a_disabled_name_may_stand_beside_a_pattern_that_does_not_match_it() -> None:
    example = """
providers.yaml: {providers: {spare: {status: disabled}}}
model-mappings.yaml: {routes: {patterns: [{match: x*, route: tiny}]}}
"""
    assert [f.rule for f in examine(sources(example))[1]] == ["GW121"]
