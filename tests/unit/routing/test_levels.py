from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.registry import Registry
from harness.routing import Refusal, Route, Rule, listed, resolve

Build = Callable[[str], Registry]

THREE = """
ports.yaml: {services: {third: {port: 8090, protocol: http, owner: third}}}
providers.yaml:
  providers:
    spare: {priority: 2}
    third: {type: vllm, port: third, status: active, failover_only: true,
      health: {path: /health, timeout_s: 2},
      models: [{name: big, served_as: big, context_length: 32768, capabilities: [chat],
                mode: chat, residency: always}]}
model-mappings.yaml:
  routes: {exact: {big: {provider: third, model: big}}}
  load_balancing: {all: {strategy: weighted, members: [%s]}}
"""


def route(registry: Registry, name: str) -> Route:
    found = resolve(registry, name)
    assert isinstance(found, Route), found
    return found


def levels(found: Route) -> list[tuple[str, list[str]]]:
    return [(tier.group, [d.provider for d in tier.deployments]) for tier in found.tiers]


def test_members_are_asked_by_priority_and_failover_only_last(registry_of: Build) -> None:
    found = route(registry_of(THREE % "{route: big}, {route: tiny}, {route: spare}"), "all")
    assert levels(found) == [("all", ["local"]), ("all", ["spare"]), ("all", ["third"])]
    assert [d.order for d in found] == [1, 2, 3]
    assert found.fallbacks == ()


def test_the_order_of_a_member_counts_before_the_priority_of_its_provider(
    registry_of: Build,
) -> None:
    members = "{route: tiny, order: 5}, {route: spare, order: 4}, {route: big, order: 1}"
    found = route(registry_of(THREE % members), "all")
    assert [d.provider for d in found] == ["spare", "local", "third"]


def test_members_of_a_level_are_asked_by_name_once_all_levels_have_failed(
    registry_of: Build,
) -> None:
    found = route(
        registry_of(THREE % "{route: tiny}, {route: spare, order: 1}, {route: big}"), "all"
    )
    assert levels(found) == [
        ("all", ["local", "spare"]),
        ("all", ["third"]),
        ("tiny", ["local"]),
        ("spare", ["spare"]),
    ]
    assert found.fallbacks == ("tiny", "spare")
    assert [tier.group for tier in found.own] == ["all", "all"]


BEHIND = """
ports.yaml: {services: {third: {port: 8090, protocol: http, owner: third}}}
providers.yaml:
  providers:
    %s
    third: {type: vllm, port: third, status: active, health: {path: /health, timeout_s: 2},
      models: [{name: big, served_as: big, context_length: 32768, capabilities: [chat],
                mode: chat, residency: always}]}
model-mappings.yaml:
  public_models: [both]
  routes: {exact: {big: {provider: third, model: big}}, patterns: [{match: bo*, route: big}]}
  load_balancing:
    both: {strategy: weighted, members: [{route: tiny}, {route: spare}], fallbacks: [big]}
"""


def test_what_stands_behind_a_group_is_asked_after_every_member(registry_of: Build) -> None:
    registry = registry_of(BEHIND % "local: {}")
    found = route(registry, "both")
    assert levels(found) == [
        ("both", ["local", "spare"]),
        ("tiny", ["local"]),
        ("spare", ["spare"]),
        ("big", ["third"]),
    ]
    assert found.tiers[-1].why == "fallback 1 of the group"
    assert [d.provider for d in found.expected(down=["local"])] == ["spare"]
    assert [d.provider for d in found.expected(down=["local", "spare"])] == ["third"]
    narrowed = resolve(registry, "both", context=20_000)
    assert isinstance(narrowed, Route)
    assert [d.provider for d in narrowed] == ["third"]


def test_a_group_whose_members_are_all_disabled_is_answered_by_what_stands_behind_it(
    registry_of: Build,
) -> None:
    off = "local: {status: disabled}\n    spare: {status: disabled}"
    found = route(registry_of(BEHIND % off), "both")
    assert levels(found) == [("big", ["third"])]
    assert (found.rule, found.target) == (Rule.BALANCED, "big")


def test_a_group_of_one_level_has_no_order(shipped: Registry) -> None:
    assert {d.order for d in route(shipped, "llama-cpp-balanced")} == {None}


def test_a_provider_twice_in_a_group_gives_two_deployments(registry_of: Build) -> None:
    registry = registry_of("""
providers.yaml:
  providers:
    spare:
      models:
        - {name: tiny, served_as: a, context_length: 8192, capabilities: [chat], mode: chat,
           residency: always}
        - {name: more, served_as: b, context_length: 8192, capabilities: [chat], mode: chat,
           residency: manual}
model-mappings.yaml:
  routes: {exact: {more: {provider: spare, model: more}}}
  load_balancing: {both: {strategy: weighted, members: [{route: spare}, {route: more}]}}
""")
    (head, *_) = route(registry, "both").tiers
    assert [d.id for d in head.deployments] == ["both@spare:tiny", "both@spare:more"]


@pytest.mark.parametrize("strategy", ["least-busy", "latency-based-routing"])
def test_a_tier_says_how_one_of_it_is_picked(registry_of: Build, strategy: str) -> None:
    registry = registry_of(f"""
model-mappings.yaml:
  load_balancing: {{both: {{strategy: {strategy}, members: [{{route: tiny}}, {{route: spare}}]}}}}
""")
    head = route(registry, "both").tiers[0]
    assert head.strategy == strategy
    assert "weight" not in head.why


REGEX = """
model-mappings.yaml:
  routes:
    exact: {tiny: {chain: down}}
    patterns:
      - {regex: 'gpt-4o?|gpt-5.*', route: tiny}
      - {regex: 't.*', provider: spare}
      - {match: gpt*, route: spare}
  fallback_chains: {down: [tiny, spare]}
"""


def test_a_name_a_regex_spells_is_answered_like_an_alias_with_its_chain(
    registry_of: Build,
) -> None:
    found = route(registry_of(REGEX), "gpt-4o")
    assert (found.rule, found.target) == (Rule.PATTERN, "tiny")
    assert [tier.group for tier in found.tiers] == ["tiny", "spare"]
    assert "spells the name" in found.steps[1]


def test_an_open_end_of_a_regex_is_a_wildcard(registry_of: Build) -> None:
    found = route(registry_of(REGEX), "gpt-5-mini")
    assert [d.id for d in found] == ["gpt-5*@local"]
    assert "gpt-4" in listed(registry_of(REGEX))
    assert "gpt-5" not in listed(registry_of(REGEX))


def test_a_shorter_pattern_answers_what_no_longer_one_does(registry_of: Build) -> None:
    assert route(registry_of(REGEX), "gpt-4-turbo").providers == ("spare",)
    registry = registry_of("""
model-mappings.yaml:
  routes: {patterns: [{match: sp/*, provider: spare}, {match: s*, route: tiny}]}
""")
    assert route(registry, "sp/tiny").providers == ("spare",)
    assert route(registry, "sp/other").providers == ("local",)


def test_near_names_are_looked_for_when_they_are_asked_for(shipped: Registry) -> None:
    refused = resolve(shipped, "qwen-coder-vlm")
    assert isinstance(refused, Refusal)
    assert callable(vars(Refusal)["nearest"].held(refused))
    assert "qwen-coder-vllm" in refused.nearest
    assert refused == resolve(shipped, "qwen-coder-vlm")


def test_only_names_of_the_sources_are_remembered(shipped: Registry) -> None:
    assert resolve(shipped, "llama3.1:latest") is resolve(shipped, "llama3.1:latest")
    assert resolve(shipped, "gpt-3.5-x") is not resolve(shipped, "gpt-3.5-x")
