"""What the compiler makes of levels, chains by error, regexes, cache, budgets and strategies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.gateway import litellm_config
from harness.gateway.litellm_config import CONFIG_FILE, compile_config, compile_files
from harness.gateway.litellm_config import required_variables as required
from harness.registry.rules.unsupported import COUNTED_TOGETHER

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.registry import Registry

    Build = Callable[[str], Registry]

BALANCED = "{strategy: %s, members: [{route: tiny, weight: 2}, {route: spare}]}"
FAR = """
providers.yaml: {providers: {far: {type: anthropic, status: active, api_key: {env: FAR_KEY},
  base_url: 'https://llm.example', models: [{name: big, served_as: big,
  context_length: 4096, capabilities: [chat], mode: chat, residency: always}]}}}
"""
BEHIND = """
model-mappings.yaml:
  public_models: [big, both]
  routes: {exact: {big: {provider: far, model: big}}}
  load_balancing:
    both: {strategy: weighted, members: [{route: tiny}, {route: spare}], fallbacks: [big]}
"""


def params(config: dict[str, Any], group: str) -> list[dict[str, Any]]:
    return [e["litellm_params"] for e in config["model_list"] if e["model_name"] == group]


def test_levels_become_orders_and_no_fallback_to_itself(registry_of: Build) -> None:
    config = compile_config(
        registry_of(f"""
providers.yaml: {{providers: {{spare: {{failover_only: true}}}}}}
model-mappings.yaml: {{load_balancing: {{both: {BALANCED % "weighted"}}}}}
""")
    )
    assert [(p["order"], p["weight"]) for p in params(config, "both")] == [(1, 2), (2, 1)]
    assert config["router_settings"]["fallbacks"] == []


def test_what_stands_behind_a_group_comes_after_its_members(registry_of: Build) -> None:
    settings = compile_config(registry_of(FAR + BEHIND))["router_settings"]
    assert settings["fallbacks"] == [{"both": ["tiny", "spare", "big"]}]


def test_without_a_member_the_name_of_a_group_is_an_alias_of_what_stands_behind_it(
    registry_of: Build,
) -> None:
    off = FAR.replace(
        "{providers: {far", "{providers: {local: {status: disabled}, spare: {status: disabled}, far"
    )
    config = compile_config(registry_of(off + BEHIND))
    assert [entry["model_name"] for entry in config["model_list"]] == ["big"]
    assert config["router_settings"]["model_group_alias"]["both"]["model"] == "big"
    assert config["router_settings"]["fallbacks"] == []


@pytest.mark.parametrize("strategy", ["least-busy", "latency-based-routing"])
def test_a_strategy_of_the_router_is_set_and_needs_no_weights(
    registry_of: Build, strategy: str
) -> None:
    config = compile_config(
        registry_of(f"""
model-mappings.yaml:
  load_balancing: {{both: {{strategy: {strategy}, members: [{{route: tiny}}, {{route: spare}}]}}}}
""")
    )
    assert config["router_settings"]["routing_strategy"] == strategy
    assert all("weight" not in each for each in params(config, "both"))


def test_a_list_for_one_kind_of_error_repeats_the_regular_chains_of_all_others(
    registry_of: Build,
) -> None:
    settings = compile_config(
        registry_of("""
providers.yaml: {providers: {spare: {models: [
  {name: tiny, served_as: a, context_length: 8192, capabilities: [chat], mode: chat,
   residency: always},
  {name: huge, served_as: b, context_length: 65536, capabilities: [chat], mode: chat,
   residency: manual}]}}}
model-mappings.yaml:
  routes:
    exact: {tiny: {chain: c}, spare: {chain: c, context_window_chain: long},
            huge: {provider: spare, model: huge}}
    aliases: {small: spare}
  fallback_chains: {c: [tiny, spare, huge], long: [spare, huge]}
""")
    )["router_settings"]
    assert settings["context_window_fallbacks"] == [
        {"tiny": ["spare", "huge"]},
        {"spare": ["huge"]},
        {"small": ["huge"]},
    ]
    assert "content_policy_fallbacks" not in settings


def test_a_context_length_is_where_litellm_looks_for_it(shipped: Registry) -> None:
    config = compile_config(shipped)
    assert config["router_settings"]["enable_pre_call_checks"] is True
    for entry in config["model_list"]:
        # The prefix and the key together would be put in front twice, and no length found.
        adapter = entry["litellm_params"]["custom_llm_provider"]
        assert not entry["litellm_params"]["model"].startswith(f"{adapter}/")
        assert entry["model_info"]["litellm_provider"] == adapter
        assert entry["model_info"]["max_input_tokens"] > 0


def test_a_regex_becomes_aliases_and_wildcards(registry_of: Build) -> None:
    config = compile_config(
        registry_of("""
model-mappings.yaml:
  routes:
    exact: {tiny: {chain: down}}
    patterns: [{regex: 'gpt-4o?|gpt-5.*', route: tiny}, {regex: 't.*y2?', provider: spare}]
  fallback_chains: {down: [tiny, spare]}
""")
    )
    settings = config["router_settings"]
    assert {name: alias["model"] for name, alias in settings["model_group_alias"].items()} == {
        "gpt-4": "tiny",
        "gpt-4o": "tiny",
    }
    assert {"gpt-4": ["spare"]} in settings["fallbacks"]
    assert [entry["model_name"] for entry in config["model_list"]] == ["tiny", "spare", "gpt-5*"]


def test_a_cache_goes_where_litellm_reads_it(registry_of: Build) -> None:
    registry = registry_of("""
ports.yaml: {services: {redis: {port: 6379, protocol: tcp, owner: redis}}}
model-mappings.yaml: {cache: {type: redis, ttl_s: 0.5, service: redis, namespace: llm,
  password: {env: REDIS_PASSWORD}}}
""")
    settings = compile_config(registry)["litellm_settings"]
    assert settings["cache"] is True
    assert settings["cache_params"] == {
        "type": "redis",
        "ttl": 1,
        "host": "127.0.0.1",
        "port": 6379,
        "password": "os.environ/REDIS_PASSWORD",
        "namespace": "llm",
    }
    assert "REDIS_PASSWORD" in required(registry)


def test_a_run_has_no_cache_which_would_answer_for_the_engines(registry_of: Build) -> None:
    registry = registry_of("model-mappings.yaml: {cache: {type: local, ttl_s: 60}}")
    assert compile_config(registry)["litellm_settings"]["cache_params"] == {
        "type": "local",
        "ttl": 60,
    }
    assert "cache" not in compile_config(registry, endpoints={})["litellm_settings"]


def test_budgets_go_to_the_dialect_of_their_provider(registry_of: Build) -> None:
    registry = registry_of(
        FAR
        + """
model-mappings.yaml:
  routes: {exact: {big: {provider: far, model: big}}}
  budgets: {total: {limit_usd: 100, period: 30d},
            providers: {far: {limit_usd: 10, period: 1d}, local: {limit_usd: 1, period: 1d}}}
"""
    )
    config = compile_config(registry)
    assert config["router_settings"]["provider_budget_config"] == {
        "anthropic": {"budget_limit": 10.0, "time_period": "1d"}
    }
    settings = config["litellm_settings"]
    assert (settings["max_budget"], settings["budget_duration"]) == (100.0, "30d")


def test_the_budget_of_a_disabled_provider_is_not_written(shipped: Registry) -> None:
    assert "openai" in shipped.budgets.providers
    assert "provider_budget_config" not in compile_config(shipped)["router_settings"]


def test_providers_are_counted_together_that_share_an_adapter() -> None:
    adapters = litellm_config._ADAPTER
    shared = {kind for kind, name in adapters.items() if list(adapters.values()).count(name) > 1}
    assert shared == COUNTED_TOGETHER


def test_libyaml_and_slices_change_no_byte(
    shipped: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = compile_files(shipped)[CONFIG_FILE]
    monkeypatch.setattr(litellm_config, "_Dumper", yaml.SafeDumper)
    monkeypatch.setattr(litellm_config, "_SLICE", 10**9)
    assert compile_files(shipped)[CONFIG_FILE] == text
