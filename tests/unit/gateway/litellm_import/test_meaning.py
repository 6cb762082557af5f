from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.gateway.litellm_config import compile_config
from harness.gateway.litellm_import import differences, meaning

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.registry import Registry

TEXT = """
model_list:
- model_name: a
  litellm_params: {model: openai/m, api_base: "http://127.0.0.1:8001/v1", api_key: os.environ/KEY,
    timeout: 30, weight: 3}
  model_info: {id: a@x, mode: chat}
- model_name: a
  litellm_params: {model: ollama_chat/m, api_base: "http://127.0.0.1:11434", timeout: 30, weight: 1}
- model_name: b
  litellm_params: {model: openai/n, api_base: "http://127.0.0.1:8001/v1", api_key: os.environ/KEY}
router_settings:
  timeout: 30
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 3
  fallbacks: [{a: [b]}]
  model_group_alias: {c: {model: b, hidden: false}}
general_settings: {master_key: os.environ/MASTER}
"""
CONFIG: dict[str, Any] = yaml.safe_load(TEXT)


def changed(change: Callable[[dict[str, Any]], object]) -> list[str]:
    other = copy.deepcopy(CONFIG)
    change(other)
    return differences(CONFIG, other)


def params(config: dict[str, Any], index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = config["model_list"][index]["litellm_params"]
    return found


def router(config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = config["router_settings"]
    return found


def test_a_configuration_equals_itself(shipped: Registry) -> None:
    assert differences(CONFIG, CONFIG) == []
    assert differences(compile_config(shipped), compile_config(shipped)) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["model_list"].reverse(),
        lambda c: params(c).update(api_base="http://localhost:8001/v1/"),
        lambda c: params(c).update(weight=6) or params(c, 1).update(weight=2),
        lambda c: params(c).update(custom_llm_provider="openai"),
        lambda c: params(c, 2).update(timeout=30.0),
        lambda c: params(c, 2).update(weight=9),
        lambda c: c["model_list"][0]["model_info"].update(id="other"),
        lambda c: c["model_list"][0]["model_info"].pop("mode"),
        lambda c: router(c)["model_group_alias"].update(c="b"),
        lambda c: router(c).update(routing_strategy="simple-shuffle"),
        lambda c: router(c).update(fallbacks=[{"a": ["c"]}]),
        lambda c: c["litellm_settings"].update() if "litellm_settings" in c else None,
        lambda c: router(c).pop("num_retries") or c.update(litellm_settings={"num_retries": 0}),
    ],
)
def test_spelling_does_not_count(change: Callable[[dict[str, Any]], object]) -> None:
    assert changed(change) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["model_list"].pop(), ["group 'b' is gone"]),
        (lambda c: c["model_list"].pop(0), ["group 'a' had 2 deployments and has 1"]),
        (lambda c: params(c).update(model="openai/x"), ["model: m becomes x"]),
        (lambda c: params(c).update(api_base="http://127.0.0.1:9/v1"), ["8001", "becomes"]),
        (lambda c: params(c).update(api_key="os.environ/OTHER"), ["key: KEY becomes OTHER"]),
        (lambda c: params(c).update(api_key="sk-literal"), ["key: KEY becomes a literal"]),
        (lambda c: params(c).update(timeout=31), ["timeout: 30.0 becomes 31.0"]),
        (lambda c: params(c).update(stream_timeout=5), ["stream timeout: 30.0 becomes 5.0"]),
        (lambda c: params(c).update(weight=1), ["share: 3/4 becomes 1/2"]),
        (lambda c: params(c).update(order=2), ["level: 0 becomes 1"]),
        (
            lambda c: c["model_list"][0]["model_info"].update(mode="embedding"),
            ["mode: chat becomes embedding"],
        ),
        (lambda c: router(c).update(fallbacks=[]), ["fallbacks of 'a' is gone"]),
        (lambda c: router(c).update(fallbacks=[{"a": ["x"]}]), ["[b] becomes [x]"]),
        (lambda c: router(c)["model_group_alias"].update(c="a"), ["alias 'c': b becomes a"]),
        (lambda c: router(c).update(num_retries=1), ["'num_retries': 0 becomes 1"]),
        (lambda c: router(c).update(allowed_fails=2), ["'allowed_fails': 1 becomes 2"]),
        (lambda c: router(c).update(cooldown_time=4), ["'cooldown_time': 3 becomes 4"]),
        (lambda c: router(c).update(routing_strategy="least-busy"), ["becomes least-busy"]),
        (
            lambda c: router(c).update(context_window_fallbacks=[{"b": ["a"]}]),
            ["'a, context_window' is new", "'b, context_window' is new"],
        ),
        (
            lambda c: c.update(
                litellm_settings={"cache": True, "cache_params": {"type": "local", "ttl": 9}}
            ),
            ["'cache': nothing becomes type local, ttl 9"],
        ),
        (lambda c: router(c).update(enable_pre_call_checks=True), ["False becomes True"]),
        (
            lambda c: c.update(litellm_settings={"max_budget": 5, "budget_duration": "1d"}),
            ["'max_budget': nothing becomes 5"],
        ),
        (lambda c: c["general_settings"].clear(), ["'master_key': MASTER becomes nothing"]),
        (
            lambda c: c.update(litellm_settings={"callbacks": ["prometheus"]}),
            ["'metrics': False becomes True"],
        ),
    ],
)
def test_a_change_of_behaviour_is_said_in_words(
    change: Callable[[dict[str, Any]], object], words: list[str]
) -> None:
    found = "\n".join(changed(change))
    assert all(word in found for word in words), found


def test_no_literal_key_is_repeated() -> None:
    assert "sk-literal" not in "\n".join(changed(lambda c: params(c).update(api_key="sk-literal")))


def test_names_without_a_list_fall_back_as_the_default_says() -> None:
    found = meaning({**CONFIG, "litellm_settings": {"default_fallbacks": ["b"]}}).fallbacks
    assert found == {"a": ("b",)}, "b does not fall back to itself, nor c, which is b"


def test_a_request_timeout_counts_beside_a_router_timeout_only() -> None:
    library = {"litellm_settings": {"request_timeout": 7}}
    group = meaning({**CONFIG, **library}).groups["b"][0]
    assert group["timeout"] == 7
    bare = {**CONFIG, "router_settings": {}, **library}
    assert meaning(bare).groups["b"][0]["timeout"] == 7
    assert meaning(bare).groups["a"][0]["timeout"] == 30


@pytest.mark.parametrize("config", [{}, {"model_list": 3}, {"router_settings": []}, {"x": None}])
def test_any_mapping_has_a_meaning(config: dict[str, Any]) -> None:
    assert differences(config, config) == []
