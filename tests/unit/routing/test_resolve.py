from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.registry import Registry
from harness.routing import Refusal, Route, Rule, listed, resolve

Build = Callable[[str], Registry]


def route(registry: Registry, name: str) -> Route:
    found = resolve(registry, name)
    assert isinstance(found, Route), found
    return found


def ids(found: Route) -> list[str]:
    return [deployment.id for deployment in found]


def test_an_exact_name_is_answered_by_its_chain_in_order(shipped: Registry) -> None:
    found = route(shipped, "qwen-coder-vllm")
    assert found.rule is Rule.EXACT
    assert found.providers == ("vllm", "llama-cpp-native", "ollama")
    assert ids(found)[0] == "qwen-coder-vllm@vllm"


def test_an_alias_has_the_tiers_of_its_target_under_its_own_name(shipped: Registry) -> None:
    alias, target = route(shipped, "llama3.1:8b"), route(shipped, "llama3.1:latest")
    assert (alias.name, alias.target) == ("llama3.1:8b", "llama3.1:latest")
    assert alias.tiers == target.tiers


def test_a_provider_pattern_reaches_its_whole_catalogue_and_nothing_else(
    shipped: Registry,
) -> None:
    assert route(shipped, "ollama/llava:13b").rule is Rule.PATTERN
    refused = resolve(shipped, "ollama/not-in-the-catalogue")
    assert isinstance(refused, Refusal)
    assert "catalogue" in refused.steps[-1]


@pytest.mark.parametrize("name", ["gpt-3.5", "gpt-3.5-turbo-0125"])
def test_a_route_pattern_answers_every_name_with_its_prefix(shipped: Registry, name: str) -> None:
    assert route(shipped, name).providers == ("ollama",)


def test_a_capability_flattens_the_chains_of_its_candidates_without_repeating_one(
    shipped: Registry,
) -> None:
    found = route(shipped, "code")
    assert found.rule is Rule.CAPABILITY
    assert [tier.group for tier in found.tiers] == [
        "qwen-coder-vllm",
        "llama-cpp-llama3.1",
        "qwen2.5-coder:7b",
    ]


def test_a_balanced_group_falls_back_to_each_member_by_name(shipped: Registry) -> None:
    found = route(shipped, "llama-cpp-balanced")
    assert [(d.provider, d.weight) for d in found.tiers[0].deployments] == [
        ("llama-cpp-native", 3),
        ("llama-cpp-python", 1),
    ]
    assert [tier.group for tier in found.tiers[1:]] == [
        "llama-cpp-llama3.1",
        "llama-cpp-llama3.1-python",
    ]


def test_a_name_nobody_claims_is_refused_with_near_names(shipped: Registry) -> None:
    refused = resolve(shipped, "qwen-coder-vlm")
    assert isinstance(refused, Refusal)
    assert "qwen-coder-vllm" in refused.nearest


def test_names_of_a_disabled_provider_are_refused_and_not_listed(registry_of: Build) -> None:
    registry = registry_of("""
model-mappings.yaml:
  routes:
    exact: {tiny: {provider: local, model: tiny}, far: {provider: cloud, model: big}}
providers.yaml:
  providers:
    cloud:
      type: openai
      base_url: https://cloud.example
      status: disabled
      models:
        - {name: big, served_as: big, context_length: 9, capabilities: [chat], mode: chat,
           residency: always}
""")
    assert isinstance(resolve(registry, "far"), Refusal)
    assert "far" not in listed(registry)


def test_a_model_loaded_by_hand_is_passed_over_until_then(shipped: Registry) -> None:
    found = route(shipped, "dolphin-uncensored-vllm")
    assert found.providers[0] == "vllm"
    assert [d.provider for d in found.expected()] == ["ollama"]


@pytest.mark.parametrize(
    ("down", "expected"),
    [
        ((), ["vllm"]),
        (("vllm",), ["llama-cpp-native"]),
        (("vllm", "llama-cpp-native"), ["ollama"]),
        (("llama-cpp-native",), ["vllm"]),
        (("vllm", "llama-cpp-native", "ollama"), []),
    ],
)
def test_the_first_tier_left_alive_answers(
    shipped: Registry, down: tuple[str, ...], expected: list[str]
) -> None:
    found = route(shipped, "qwen-coder-vllm")
    assert [d.provider for d in found.expected(down=down)] == expected


def test_an_exact_name_wins_over_a_pattern_and_a_pattern_over_a_capability(
    registry_of: Build,
) -> None:
    registry = registry_of("""
model-mappings.yaml:
  routes:
    exact: {ch-exact: {provider: spare, model: tiny}}
    patterns: [{match: "ch*", route: tiny}]
  capabilities: {chat: [{route: spare, priority: 1}]}
""")
    assert route(registry, "ch-exact").rule is Rule.EXACT
    assert route(registry, "chat").rule is Rule.PATTERN


def test_the_longest_pattern_wins_wherever_it_stands(registry_of: Build) -> None:
    registry = registry_of("""
model-mappings.yaml:
  routes:
    patterns: [{match: "a*", route: tiny}, {match: "ab*", route: spare}]
""")
    assert route(registry, "abc").providers == ("spare",)
    assert route(registry, "acb").providers == ("local",)


@given(name=st.text(max_size=40))
def test_every_name_has_exactly_one_outcome_and_always_the_same(
    shipped: Registry, name: str
) -> None:
    first, second = resolve(shipped, name), resolve(shipped, name)
    assert isinstance(first, Route | Refusal)
    assert first == second
    assert first.name == name


def test_every_listed_name_resolves_and_ids_are_unique_within_its_first_tier(
    shipped: Registry,
) -> None:
    seen: dict[str, str] = {}
    for name in listed(shipped):
        for deployment in route(shipped, name):
            assert seen.setdefault(deployment.id, deployment.served_as) == deployment.served_as


def test_context_never_shrinks_along_a_shipped_chain(shipped: Registry) -> None:
    for name in shipped.routes.exact:
        found = resolve(shipped, name)
        if isinstance(found, Route):
            lengths = [deployment.context_length for deployment in found]
            assert lengths == sorted(lengths), name
