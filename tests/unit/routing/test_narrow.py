from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.registry import Registry
from harness.routing import Refusal, Route, listed, resolve

Build = Callable[[str], Registry]

LONGER = """
providers.yaml:
  providers:
    spare:
      models:
        - {name: tiny, served_as: tiny, context_length: 8192, capabilities: [chat, tools],
           mode: chat, residency: always}
        - {name: huge, served_as: huge, context_length: 65536, capabilities: [chat],
           mode: chat, residency: manual}
model-mappings.yaml:
  routes:
    exact:
      tiny: {chain: down, context_window_chain: long, content_policy_chain: down}
      huge: {provider: spare, model: huge}
  fallback_chains: {down: [tiny, spare], long: [tiny, huge]}
"""


def asked(registry: Registry, name: str, **request: object) -> Route:
    found = resolve(registry, name, **request)  # type: ignore[arg-type]
    assert isinstance(found, Route), found
    return found


def groups(found: Route) -> list[str]:
    return [tier.group for tier in found.tiers]


def test_without_a_request_nothing_is_passed_over(registry_of: Build) -> None:
    found = asked(registry_of(LONGER), "tiny")
    assert groups(found) == ["tiny", "spare"]
    assert found.passed_over == ()


def test_what_a_prompt_does_not_fit_is_passed_over_by_the_gateway_too(shipped: Registry) -> None:
    found = asked(shipped, "qwen-coder-vllm", context=5000)
    assert found.providers == ("llama-cpp-native", "ollama")
    (passed,) = found.passed_over
    assert (passed.deployment.provider, passed.by_gateway) == ("vllm", True)
    assert found.steps[-1] == (
        "qwen-coder-vllm@vllm passed over: takes 4096 tokens, 5000 are needed"
    )


def test_a_context_window_chain_is_followed_once_the_prompt_does_not_fit(
    registry_of: Build,
) -> None:
    registry = registry_of(LONGER)
    assert groups(asked(registry, "tiny", context=4096)) == ["tiny", "spare"]
    assert groups(asked(registry, "tiny", context=4097)) == ["huge"]
    assert "context-window chain follows" in asked(registry, "tiny", context=4097).steps[-2]


def test_what_lacks_a_capability_is_passed_over_though_the_gateway_would_ask_it(
    registry_of: Build,
) -> None:
    found = asked(registry_of(LONGER), "tiny", needs=["tools"])
    assert groups(found) == ["spare"]
    assert [passed.by_gateway for passed in found.passed_over] == [False]
    assert "lacks tools; the gateway does not know and asks it anyway" in found.steps[-1]


def test_who_is_down_is_passed_over(shipped: Registry) -> None:
    found = asked(shipped, "qwen-coder-vllm", down=["vllm"])
    assert found.providers == ("llama-cpp-native", "ollama")
    assert found.expected() == asked(shipped, "qwen-coder-vllm").expected(down=["vllm"])


def test_nobody_left_is_a_refusal_with_every_reason(shipped: Registry) -> None:
    refused = resolve(shipped, "qwen-coder-vllm", context=10**6, down=["vllm"])
    assert isinstance(refused, Refusal)
    assert len(refused.passed_over) == 3
    assert refused.steps[-1].endswith("refused")


def test_a_chain_for_each_kind_of_error_is_told_apart(registry_of: Build) -> None:
    found = asked(registry_of(LONGER), "tiny")
    assert [tier.group for tier in found.on_context_window] == ["huge"]
    assert [tier.group for tier in found.on_content_policy] == ["spare"]
    assert asked(registry_of(LONGER), "spare").on_context_window == ()


@given(data=st.data())
def test_a_longer_prompt_never_finds_more_deployments(
    shipped: Registry, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(listed(shipped)))
    short, long = sorted(data.draw(st.tuples(st.integers(1, 40_000), st.integers(1, 40_000))))

    def able(context: int) -> set[str]:
        found = resolve(shipped, name, context=context)
        return {d.id for d in found} if isinstance(found, Route) else set()

    assert able(long) <= able(short)


@pytest.mark.parametrize("request_", [{"context": 1}, {"needs": ["chat"]}, {"down": ["openai"]}])
def test_what_fits_changes_nothing(shipped: Registry, request_: dict[str, object]) -> None:
    assert asked(shipped, "qwen-coder-vllm", **request_) == asked(shipped, "qwen-coder-vllm")
