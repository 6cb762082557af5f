from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from harness.gateway.litellm_config import (
    CONFIG_FILE,
    ENV_FILE,
    compile_config,
    compile_files,
    environment,
    required_variables,
)
from harness.registry import Registry, examine
from harness.registry.examples import sources
from harness.routing import Route, listed, resolve

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_same_sources_give_the_same_bytes(shipped: Registry) -> None:
    assert compile_files(shipped) == compile_files(shipped)


def test_the_header_names_the_hash_of_the_sources_and_forbids_edits(shipped: Registry) -> None:
    text = compile_files(shipped)[CONFIG_FILE]
    assert "do not edit" in text.splitlines()[0]
    assert f"sources-sha256: {shipped.sha256}" in text


def test_a_comment_in_a_source_changes_no_generated_byte() -> None:
    plain, _ = examine(sources("{}"))
    commented, _ = examine({name: b"# why\n" + text for name, text in sources("{}").items()})
    assert plain is not None
    assert commented is not None
    assert compile_files(plain) == compile_files(commented)


def test_every_deployment_has_an_id_a_mode_an_adapter_and_both_timeouts(
    shipped: Registry,
) -> None:
    entries = compile_config(shipped)["model_list"]
    assert len({entry["model_info"]["id"] for entry in entries}) == len(entries)
    for entry in entries:
        assert entry["model_info"]["mode"] == "chat"
        adapter = entry["litellm_params"]["custom_llm_provider"]
        assert adapter in ("openai", "ollama_chat")
        assert not entry["litellm_params"]["model"].startswith(f"{adapter}/")
        assert entry["model_info"]["litellm_provider"] == adapter
        assert entry["litellm_params"]["timeout"] == shipped.resilience.timeout_s
        assert entry["litellm_params"]["stream_timeout"] == shipped.resilience.stream_timeout_s


def test_the_circuit_breaker_is_spelt_out_and_nothing_is_retried(shipped: Registry) -> None:
    settings = compile_config(shipped)["router_settings"]
    assert settings["num_retries"] == 0
    assert settings["allowed_fails"] == shipped.resilience.allowed_fails
    assert settings["cooldown_time"] == shipped.resilience.cooldown_s


def test_every_name_with_tiers_has_its_own_flat_fallback_list(shipped: Registry) -> None:
    config = compile_config(shipped)
    lists = {
        name: rest for one in config["router_settings"]["fallbacks"] for name, rest in one.items()
    }
    for name in listed(shipped):
        found = resolve(shipped, name)
        assert isinstance(found, Route)
        assert lists.get(name, []) == [tier.group for tier in found.tiers[1:]]


def test_every_fallback_and_alias_points_to_a_group_that_exists(shipped: Registry) -> None:
    config = compile_config(shipped)
    groups = {entry["model_name"] for entry in config["model_list"]}
    settings = config["router_settings"]
    for one in settings["fallbacks"]:
        assert groups.issuperset(*one.values())
    for alias in settings["model_group_alias"].values():
        assert alias["model"] in groups


def test_keys_stand_in_the_file_by_the_name_of_their_variable_only(shipped: Registry) -> None:
    text = compile_files(shipped)[CONFIG_FILE]
    for key in re.findall(r"(?:api_key|master_key): (\S+)", text):
        assert key.startswith("os.environ/") or key == "not-needed"


def test_a_run_replaces_addresses_and_nothing_else(shipped: Registry) -> None:
    there = compile_config(shipped)
    here = compile_config(shipped, endpoints={"vllm": "http://127.0.0.1:5"})
    changed = [
        (old["litellm_params"].pop("api_base"), new["litellm_params"].pop("api_base"))
        for old, new in zip(there["model_list"], here["model_list"], strict=True)
    ]
    assert there == here
    assert {new for old, new in changed if old != new} == {"http://127.0.0.1:5/v1"}


def test_rate_limits_are_enforced_not_only_written(
    registry_of: Callable[[str], Registry],
) -> None:
    registry = registry_of(
        "providers.yaml: {providers: {local: {rate_limits: {rpm: 7, max_parallel: 2}}}}"
    )
    config = compile_config(registry)
    params = config["model_list"][0]["litellm_params"]
    assert (params["rpm"], params["max_parallel_requests"]) == (7, 2)
    assert config["router_settings"]["optional_pre_call_checks"] == ["enforce_model_rate_limits"]


def test_weights_are_written_for_balanced_groups_alone(shipped: Registry) -> None:
    weighted = [
        (entry["model_name"], entry["litellm_params"]["weight"])
        for entry in compile_config(shipped)["model_list"]
        if "weight" in entry["litellm_params"]
    ]
    assert weighted == [("llama-cpp-balanced", 3), ("llama-cpp-balanced", 1)]


def test_browser_origins_go_to_the_environment_where_litellm_reads_them(
    shipped: Registry,
) -> None:
    origins = ",".join(shipped.gateway.cors_origins)
    assert environment(shipped)["LITELLM_CORS_ORIGINS"] == origins
    assert f"LITELLM_CORS_ORIGINS={origins}" in compile_files(shipped)[ENV_FILE]


def test_no_browser_origin_is_a_list_of_none_and_not_of_all(
    registry_of: Callable[[str], Registry],
) -> None:
    """LiteLLM takes a blank variable for every origin (``proxy_server._get_cors_config``)."""
    closed = registry_of("model-mappings.yaml: {gateway: {cors_origins: []}}")
    written = environment(closed)["LITELLM_CORS_ORIGINS"]

    assert written.strip()
    assert [origin for origin in written.split(",") if origin.strip()] == []


def test_required_variables_say_where_they_are_asked_for(shipped: Registry) -> None:
    places = required_variables(shipped)
    assert re.search(r"model-mappings\.yaml:\d+:\d+$", places["LITELLM_MASTER_KEY"])
    assert "OPENAI_API_KEY" not in places, "a disabled provider needs no key"


def test_the_generated_file_is_plain_yaml(shipped: Registry) -> None:
    assert yaml.safe_load(compile_files(shipped)[CONFIG_FILE]) == compile_config(shipped)


@pytest.mark.parametrize("name", [CONFIG_FILE, ENV_FILE])
def test_no_environment_value_reaches_a_generated_file(
    shipped: Registry, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("LITELLM_MASTER_KEY", "sk-canary-value")
    assert "canary" not in compile_files(shipped)[name]
