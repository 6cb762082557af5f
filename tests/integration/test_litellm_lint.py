"""What the linter says of keys, against what the real LiteLLM does with them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.gateway import environment
from harness.gateway.litellm_lint.check import judge
from harness.gateway.litellm_lint.derive.__main__ import derive, render
from harness.gateway.litellm_lint.reader import read_yaml
from harness.gateway.litellm_lint.tables import KEYS, tables

PROBE = Path(__file__).with_name("litellm_probe.py")
MODEL = """
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: not-a-key}
"""
PAIRS = {
    "drop_param": ("litellm_settings: {drop_param: true}", "litellm.drop_params", False),
    "drop_params": ("litellm_settings: {drop_params: true}", "litellm.drop_params", True),
    "num_retries": ("router_settings: {num_retries: 7}", "router.num_retries", 7),
    "num_retires": ("router_settings: {num_retires: 7}", "router.num_retries == 7", False),
    "cooldown_time": ("router_settings: {cooldown_time: 9}", "router.cooldown_time", 9),
    "cooldown": ("router_settings: {cooldown: 9}", "router.cooldown_time == 9", False),
    "master_key": ("general_settings: {master_key: sk-probe}", "proxy.master_key", "sk-probe"),
    "masterkey": ("general_settings: {masterkey: sk-probe}", "proxy.master_key", None),
    "root cache": ("cache: {type: local}", "litellm.cache is None", True),
    "cache off": (
        "litellm_settings: {cache_params: {type: local}}",
        "litellm.cache is None",
        True,
    ),
    "policy": (
        "router_settings: {retry_policy: {TimeoutErrorRetries: 4}}",
        "router.retry_policy.TimeoutErrorRetries",
        4,
    ),
    "policy slip": (
        "router_settings: {retry_policy: {TimeoutRetries: 4}}",
        "router.retry_policy.TimeoutErrorRetries",
        None,
    ),
    "zero": (
        "router_settings: {timeout: 0, cooldown_time: 0}",
        "[router.timeout, router.cooldown_time]",
        [6000, 5],
    ),
    "in silence": ("router_settings: {num_retries: three}", "router.num_retries", "three"),
    "cache": (
        "litellm_settings: {cache: true, cache_params: {type: local, cache_key_pattern: x}}",
        "[type(litellm.cache.cache).__name__, hasattr(litellm.cache, 'cache_key_pattern')]",
        ["InMemoryCache", False],
    ),
    "twice": (
        "router_settings: {num_retries: 4}\nlitellm_settings: {num_retries: 9}",
        "[router.num_retries, litellm.num_retries]",
        [4, 9],
    ),
}
"""By name: a part of a file, what is asked after loading it, and the answer. One process loads
them in this order, so what must not be set comes before what sets it."""
DROPPED = """
model_list:
  - model_name: kept
    litellm_params: {model: openai/gpt-4o, api_key: not-a-key}
  - model_name: no provider
    litellm_params: {model: llama3, api_key: not-a-key}
  - model_name: a date
    litellm_params: {model: azure/m, api_key: not-a-key, api_version: 2024-10-21}
  - model_name: a word
    litellm_params: {model: openai/gpt-4o, api_key: not-a-key, tpm: 150k}
"""
MODELS = (
    *("gpt-4o", "openai/gpt-4o", "hosted_vllm/x", "ollama_chat/llama3.1:8b", "*", "openai/*"),
    *("llama3", "meta-llama/Llama-3", "my-model", "opneai/gpt-4o", "vlm/x", "claude-sonnet-4-5"),
    *("openai", "azure/any", "publicai/any", "text-embedding-3-small", "dall-e-3", "whisper-1"),
)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not environment.installed():
        pytest.skip("the gateway's environment is not installed")
    folder = tmp_path_factory.mktemp("probe")
    configs = {name: (MODEL + text, asked) for name, (text, asked, _) in PAIRS.items()}
    configs["dropped"] = (DROPPED, "[each['model_name'] for each in models]")
    questions = {"models": [*MODELS, *sorted(tables().models)], "configs": configs}
    (folder / "questions.json").write_text(json.dumps(questions))
    command = [str(environment.location() / "bin/python"), str(PROBE)]
    command += [str(folder / "questions.json"), str(folder / "answers.json")]
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    subprocess.run(command, check=True, capture_output=True, env=variables, cwd=folder)
    answer: dict[str, Any] = json.loads((folder / "answers.json").read_text())
    return answer


def found(text: str) -> set[str]:
    return {each.rule for each in judge(read_yaml("config.yaml", text.encode()))}


def test_the_committed_tables_are_those_of_the_installed_package() -> None:
    folder = next(environment.location().glob("lib/python*/site-packages"))
    committed = KEYS / f"{environment.version()}.json"
    assert render(derive(folder)) == committed.read_text()


@pytest.mark.parametrize("name", PAIRS)
def test_a_live_key_changes_something_and_a_dead_one_does_not(
    name: str, answers: dict[str, Any]
) -> None:
    assert answers["loaded"][name] == PAIRS[name][2]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("drop_param", "GW201"),
        ("num_retires", "GW202"),
        ("cooldown", "GW202"),
        ("masterkey", "GW203"),
        ("root cache", "GW200"),
        ("cache off", "GW270"),
        ("policy slip", "GW209"),
        ("twice", "GW245"),
        ("zero", "GW218"),
        ("in silence", "GW212"),
        ("cache", "GW208"),
    ],
)
def test_the_linter_says_so(name: str, rule: str) -> None:
    assert rule in found(MODEL + PAIRS[name][0])


def test_the_router_takes_exactly_the_keys_of_the_table(answers: dict[str, Any]) -> None:
    outside = {"model_list", "search_tools", "assistants_config", "router_general_settings"}
    outside |= {"ignore_invalid_deployments", "auto_router_capability_limit"}
    outside |= {"fallback_access_check", "fallback_budget_check"}
    assert set(answers["router"]) - outside == tables().sections["router_settings"].keys()


@pytest.mark.parametrize("name", ["retry_policy", "allowed_fails_policy"])
def test_a_policy_has_exactly_the_fields_of_the_table(name: str, answers: dict[str, Any]) -> None:
    assert set(answers[name]) == tables().sections[name].keys()


def test_every_metric_registered_at_the_start_is_in_the_table(answers: dict[str, Any]) -> None:
    registered = set(answers["exported"])
    bare = set(tables().metrics) | {name.removesuffix("_total") for name in tables().metrics}
    assert registered - tables().exported.keys() - bare == set()


def test_deployments_litellm_drops_in_silence_are_errors(answers: dict[str, Any]) -> None:
    assert answers["loaded"]["dropped"] == ["kept"]
    findings = judge(read_yaml("config.yaml", DROPPED.encode()))
    assert [(each.rule, each.line) for each in findings if each.severity == "error"] == [
        ("GW221", 6),
        ("GW212", 8),
        ("GW212", 10),
    ]


@pytest.mark.parametrize("model", MODELS)
def test_a_provider_is_missed_where_litellm_misses_it(model: str, answers: dict[str, Any]) -> None:
    text = f'model_list: [{{model_name: a, litellm_params: {{model: "{model}"}}}}]'
    assert ("GW221" in found(text)) == (answers["provider"][model] == "")


def test_litellm_finds_the_provider_of_every_model_the_table_takes_for_known(
    answers: dict[str, Any],
) -> None:
    lost = [model for model in tables().models if answers["provider"][model] == ""]
    assert [model for model in lost if not model.startswith("ft:")] == []  # litellm knows two
