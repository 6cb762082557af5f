from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.gateway.litellm_lint import lint, recognises
from harness.gateway.litellm_lint.check import judge
from harness.gateway.litellm_lint.examples import complete
from harness.gateway.litellm_lint.reader import read_yaml

CONFIG = Path(__file__).parents[4] / "config/litellm-unified.yaml"


def found(text: str) -> list[tuple[str, int]]:
    document = read_yaml("config.yaml", complete(text))
    return [(each.rule, each.line) for each in judge(document)]


def test_one_part_of_the_file_is_enough_to_recognise_it() -> None:
    assert recognises({"model_list": None})
    assert recognises({"litellm_settings": {}, "other": 1})


@pytest.mark.parametrize("value", [None, [], "model_list", {}, {"services": {}}, {"groups": []}])
def test_other_files_are_not_taken_for_litellm_s(value: object) -> None:
    assert not recognises(value)


def test_a_missing_file_is_a_finding(tmp_path: Path) -> None:
    (finding,) = lint(tmp_path / "none.yaml")
    assert finding.rule == "GW001"
    assert "No such file" in finding.message


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (finding,) = lint(tmp_path / "pipe.yaml")
    assert "not a regular file" in finding.message


def test_no_socket_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refused)
    assert lint(CONFIG) is not None


def test_all_findings_come_at_once_in_the_order_of_the_file() -> None:
    text = """
litellm_settings: {request_timeout: 60, model_limits: {}}
router_settings:
  num_retries: three
  fallbacks: [{chat: [nowhere]}]
"""
    assert found(text) == [("GW201", 1), ("GW212", 3), ("GW230", 4), ("GW250", 4)]


def test_what_the_gateway_s_own_generator_writes_is_in_order() -> None:
    assert [each for each in lint(CONFIG) if each.severity == "error"] == []


def test_groups_of_an_included_file_are_not_missed() -> None:
    text = """
include: [models.yaml]
router_settings: {num_retries: 0, allowed_fails: 1, fallbacks: [{elsewhere: [other]}]}
"""
    assert found(text) == []


def test_groups_of_a_database_are_not_missed() -> None:
    text = """
general_settings: {master_key: os.environ/K, store_model_in_db: true}
router_settings: {num_retries: 0, allowed_fails: 1, fallbacks: [{elsewhere: [other]}]}
"""
    assert found(text) == []


@pytest.mark.parametrize("name", ["gpt-4o", "openai/gpt-4o", "chat@one"])
def test_a_fallback_may_name_whatever_the_router_finds(name: str) -> None:
    text = f"""
model_list:
  - model_name: chat
    litellm_params: {{model: hosted_vllm/m, api_base: "http://127.0.0.1:8000/v1"}}
    model_info: {{mode: chat}}
  - model_name: openai/*
    litellm_params: {{model: openai/*, api_key: os.environ/K}}
    model_info: {{mode: chat}}
  - model_name: other
    litellm_params: {{model: gpt-4o, api_key: os.environ/K}}
    model_info: {{mode: chat, id: chat@one}}
router_settings: {{num_retries: 0, allowed_fails: 1, fallbacks: [{{chat: ["{name}"]}}]}}
"""
    assert found(text) == []


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o",
        "claude-sonnet-4-5",
        "azure/my-deployment",
        "ft:gpt-4o:org::id",
        "os.environ/M",
        "publicai/any",
    ],
)
def test_models_litellm_finds_a_provider_for_are_accepted(model: str) -> None:
    text = f"""
model_list:
  - model_name: chat
    litellm_params: {{model: "{model}", api_key: os.environ/K}}
    model_info: {{mode: chat}}
"""
    assert "GW221" not in {rule for rule, _ in found(text)}


def test_a_star_needs_no_prefix_behind_a_star() -> None:
    text = """
model_list:
  - model_name: "*"
    litellm_params: {model: "*", api_key: os.environ/K}
    model_info: {mode: chat}
"""
    assert found(text) == []


def test_a_known_address_or_a_provider_of_one_s_own_makes_up_for_the_prefix() -> None:
    text = """
litellm_settings:
  request_timeout: 60
  custom_provider_map: [{provider: mine, custom_handler: handler.mine}]
model_list:
  - model_name: a
    litellm_params: {model: mixtral, api_base: "https://api.groq.com/openai/v1"}
  - model_name: b
    litellm_params: {model: mine/model}
  - model_name: c
    litellm_params: {model: model, custom_llm_provider: openai, api_key: os.environ/K}
"""
    assert found(text) == []


def test_a_provider_that_does_not_exist_is_found() -> None:
    text = """
model_list:
  - model_name: a
    litellm_params: {model: m, custom_llm_provider: opneai}
    model_info: {mode: chat}
"""
    assert found(text) == [("GW221", 3)]


@pytest.mark.parametrize(
    "value",
    [
        "os.environ/OPENAI_API_KEY",
        "not-needed",
        "none",
        "EMPTY",
        "sk-no-key-required",
        "anything-at-all-goes",
    ],
)
def test_a_word_in_place_of_a_key_is_no_secret(value: str) -> None:
    text = f"""
model_list:
  - model_name: a
    litellm_params: {{model: openai/m, api_base: "http://h/v1", api_key: "{value}"}}
    model_info: {{mode: chat}}
"""
    assert found(text) == []


def test_a_secret_is_never_repeated() -> None:
    secret = "sk-proj-0123456789abcdefABCDEF"
    text = f"""
model_list:
  - model_name: a
    litellm_params: {{model: openai/m, api_key: {secret}}}
    model_info: {{mode: chat}}
router_settings: {{num_retries: 0, redis_url: "redis://:{secret}@cache:6379", redis_password: x}}
environment_variables: {{LANGFUSE_SECRET_KEY: "{secret}"}}
"""
    findings = judge(read_yaml("config.yaml", complete(text)))
    assert [each.rule for each in findings] == ["GW262"] * 4
    assert not [each for each in findings if secret in str(each)]


def test_a_misplaced_master_key_is_not_reported_as_missing() -> None:
    assert found("general_setting: {master_key: os.environ/K}\ngeneral_settings: ~") == [
        ("GW200", 1)
    ]


def test_yaml_1_1_is_what_litellm_reads() -> None:
    assert found("litellm_settings: {request_timeout: 60, drop_params: yes, json_logs: on}") == []
    text = """
model_list:
  - model_name: a
    litellm_params:
      {model: azure/m, api_base: os.environ/B, api_key: os.environ/K, api_version: 2024-10-21}
    model_info: {mode: chat}
"""
    assert found(text) == [("GW212", 4)]  # a date, so the deployment would be dropped


def test_a_circle_of_three_is_reported_once() -> None:
    text = """
router_settings:
  num_retries: 0
  allowed_fails: 1
  fallbacks: [{a: [b]}, {b: [c]}, {c: [a]}]
model_list:
  - {model_name: a, litellm_params: {model: gpt-4o}}
  - {model_name: b, litellm_params: {model: gpt-4o-mini}}
  - {model_name: c, litellm_params: {model: gpt-4}}
"""
    assert found(text) == [("GW233", 4)]


def test_a_chain_that_only_leads_into_a_circle_is_not_part_of_it() -> None:
    text = """
router_settings:
  num_retries: 0
  allowed_fails: 1
  fallbacks:
    - {a: [b]}
    - {b: [c]}
    - {c: [b]}
model_list:
  - {model_name: a, litellm_params: {model: gpt-4o}}
  - {model_name: b, litellm_params: {model: gpt-4o-mini}}
  - {model_name: c, litellm_params: {model: gpt-4}}
"""
    assert found(text) == [("GW233", 6)]


@given(st.binary(max_size=400))
def test_any_bytes_give_findings_and_no_exception(data: bytes) -> None:
    document = read_yaml("config.yaml", data)
    findings = document.findings if document.value is None else judge(document)
    assert document.value is not None or findings


KEYS = st.sampled_from(
    [
        "model_list",
        "litellm_settings",
        "router_settings",
        "general_settings",
        "litellm_params",
        "model_info",
        "model_name",
        "model",
        "api_base",
        "api_key",
        "fallbacks",
        "context_window_fallbacks",
        "default_fallbacks",
        "model_group_alias",
        "cache",
        "cache_params",
        "rpm",
        "mode",
        "id",
        "retry_policy",
        "tags",
        "timeout",
        "provider_budget_config",
        "master_key",
        "optional_pre_call_checks",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | KEYS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5))
def test_any_shape_of_known_keys_gives_findings_inside_the_file(value: object) -> None:
    text = yaml.safe_dump(value)
    document = read_yaml("config.yaml", text.encode())
    lines = len(text.splitlines())
    for finding in judge(document) if document.value is not None else document.findings:
        assert 1 <= finding.line <= lines + 1
        assert finding.message
        assert finding.remedy


@pytest.mark.parametrize("base", ["http://[", "//", "not a url", "http://h:99999999/v1"])
def test_an_address_that_cannot_be_parsed_is_no_exception(base: str) -> None:
    text = f"""
model_list:
  - model_name: a
    litellm_params: {{model: openai/m, api_base: "{base}", api_key: none}}
    model_info: {{mode: chat}}
"""
    assert {rule for rule, _ in found(text)} <= {"GW225", "GW241"}


def test_the_name_of_a_provider_is_no_model() -> None:
    text = """
model_list:
  - model_name: a
    litellm_params: {model: openai, api_key: os.environ/K}
    model_info: {mode: chat}
"""
    assert found(text) == [("GW221", 3)]
