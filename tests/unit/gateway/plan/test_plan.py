from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.gateway.litellm_config import CONFIG_FILE, ENV_FILE, compile_files, environment
from harness.gateway.plan import Kind, PlanError, Severity, plan, plan_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.registry import Registry

Config = dict[str, Any]


def sentences(before: Config | None, after: Config) -> list[str]:
    return [change.sentence for change in plan(before, after).changes]


def params(config: Config, name: str) -> dict[str, Any]:
    """The parameters of the first deployment of a group."""
    return next(e["litellm_params"] for e in config["model_list"] if e["model_name"] == name)


@pytest.fixture
def changed(compiled: Config) -> Config:
    return copy.deepcopy(compiled)


def test_the_same_configuration_is_no_change(compiled: Config, changed: Config) -> None:
    found = plan(compiled, changed)
    assert not found
    assert found.exit_code == 0


def test_a_change_has_the_exit_code_of_terraform(compiled: Config, changed: Config) -> None:
    changed["router_settings"]["num_retries"] = 1
    assert plan(compiled, changed).exit_code == 2


def test_a_lost_fallback_is_told_by_its_place_and_is_breaking(
    compiled: Config, changed: Config
) -> None:
    changed["router_settings"]["fallbacks"][0]["qwen-coder-vllm"].remove("qwen2.5-coder:7b")
    (change,) = plan(compiled, changed).changes
    assert change.sentence == "`qwen-coder-vllm` loses its second fallback, qwen2.5-coder:7b"
    assert (change.kind, change.severity) == (Kind.FALLBACK_REMOVED, Severity.BREAKING)
    assert (change.before, change.after) == (
        "llama-cpp-llama3.1, qwen2.5-coder:7b",
        "llama-cpp-llama3.1",
    )


def test_a_name_behind_a_balanced_group_is_told_after_its_members(
    compiled: Config, changed: Config
) -> None:
    (behind,) = (
        targets
        for each in changed["router_settings"]["fallbacks"]
        for name, targets in each.items()
        if name == "llama-cpp-balanced"
    )
    behind.append("llama3.1:latest")
    (change,) = plan(compiled, changed).changes
    assert change.sentence == ("`llama-cpp-balanced` gains llama3.1:latest as its third fallback")


def test_a_gained_fallback_is_an_addition(compiled: Config, changed: Config) -> None:
    changed["router_settings"]["fallbacks"][1]["dolphin-uncensored-vllm"].append("llama3.1:latest")
    (change,) = plan(compiled, changed).changes
    assert change.sentence == (
        "`dolphin-uncensored-vllm` gains llama3.1:latest as its second fallback"
    )
    assert change.severity is Severity.ADDITION


def test_a_replaced_fallback_is_one_change(compiled: Config, changed: Config) -> None:
    changed["router_settings"]["fallbacks"][1]["dolphin-uncensored-vllm"] = ["llama3.1:latest"]
    (sentence,) = sentences(compiled, changed)
    assert sentence == (
        "`dolphin-uncensored-vllm` has llama3.1:latest as its only fallback instead of "
        "mythomax-l2-13b-q5_k_m"
    )


def test_fallbacks_in_another_order(compiled: Config, changed: Config) -> None:
    changed["router_settings"]["fallbacks"][0]["qwen-coder-vllm"].reverse()
    (sentence,) = sentences(compiled, changed)
    assert sentence == (
        "`qwen-coder-vllm` tries its fallbacks in another order: qwen2.5-coder:7b, "
        "llama-cpp-llama3.1 instead of llama-cpp-llama3.1, qwen2.5-coder:7b"
    )


def test_a_server_that_moves_names_every_route_that_reaches_it(
    compiled: Config, changed: Config
) -> None:
    params(changed, "llama-cpp-llama3.1")["api_base"] = "http://127.0.0.1:9090/v1"
    (change,) = plan(compiled, changed).changes
    assert change.sentence == (
        "`llama-cpp-llama3.1` moves from http://127.0.0.1:8080/v1 to http://127.0.0.1:9090/v1"
    )
    assert set(change.affects) == {"qwen-coder-vllm", "llama-cpp-balanced", "code", "chat"}


def test_a_name_that_disappears_is_breaking(compiled: Config, changed: Config) -> None:
    del changed["router_settings"]["model_group_alias"]["creative"]
    (change,) = plan(compiled, changed).changes
    assert change.sentence == "`creative` disappears: requests for it are refused"
    assert change.severity is Severity.BREAKING


def test_a_new_name_says_who_answers_it(
    compiled: Config, changed: Config, entry: Callable[..., Config]
) -> None:
    changed["model_list"].append(entry("fresh"))
    (change,) = plan(compiled, changed).changes
    assert change.sentence == "`fresh` is new: answered by openai/m at http://one:1/v1"
    assert change.severity is Severity.ADDITION


def test_without_a_gateway_so_far_every_name_is_new(compiled: Config) -> None:
    found = plan(None, compiled)
    added = {change.subject for change in found.changes if change.kind is Kind.NAME_ADDED}
    groups = {entry["model_name"] for entry in compiled["model_list"]}
    assert added == groups | set(compiled["router_settings"]["model_group_alias"])
    assert found.breaking == ()


def test_an_alias_that_stands_for_another_model(compiled: Config, changed: Config) -> None:
    changed["router_settings"]["model_group_alias"]["creative"]["model"] = "llama3.1:latest"
    assert sentences(compiled, changed) == [
        "`creative` stands for llama3.1:latest instead of mythomax-l2-13b-q5_k_m"
    ]


def test_an_alias_that_is_no_longer_listed(compiled: Config, changed: Config) -> None:
    changed["router_settings"]["model_group_alias"]["creative"]["hidden"] = True
    (change,) = plan(compiled, changed).changes
    assert change.kind is Kind.NAME_UNLISTED


def test_a_name_that_a_pattern_goes_on_answering_is_not_removed(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    before = config(entry("o/a"), entry("o/*"))
    (change,) = plan(before, config(entry("o/*"))).changes[:1]
    assert change.sentence == "`o/a` is served as o/* now, no longer a group of its own"
    assert Kind.NAME_REMOVED not in {one.kind for one in plan(before, config(entry("o/*"))).changes}


def test_a_pattern_is_not_anchored_at_its_end_as_in_litellm(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    before = config(entry("w/a-chat-extra"), entry("w/*-chat"))
    assert sentences(before, config(entry("w/*-chat")))[0].startswith(
        "`w/a-chat-extra` is served as w/*-chat now"
    )


def test_two_equally_long_patterns_that_swap_places(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    one, two = entry("a*b"), entry("a*c")
    assert sentences(config(one, two), config(two, one)) == [
        "`a*b` is asked after a*c now, where both match"
    ]


def test_a_shifted_weight_is_told_as_a_share(compiled: Config, changed: Config) -> None:
    params(changed, "llama-cpp-balanced")["weight"] = 1
    changes = plan(compiled, changed).changes
    assert [change.subject for change in changes] == ["llama-cpp-balanced"] * 2
    assert [(change.before, change.after) for change in changes] == [
        ("75 %", "50 %"),
        ("25 %", "50 %"),
    ]
    assert "(llama-cpp-balanced@llama-cpp-native) takes 50 % of its group's" in changes[0].does


def test_a_group_that_loses_a_deployment_is_breaking(compiled: Config, changed: Config) -> None:
    changed["model_list"].remove(
        next(e for e in changed["model_list"] if e["model_info"]["id"].endswith("-python"))
    )
    changed["model_list"] = [
        e
        for e in changed["model_list"]
        if e["model_info"]["id"] != "llama-cpp-balanced@llama-cpp-python"
    ]
    found = plan(compiled, changed)
    assert "`llama-cpp-balanced` loses the deployment llama-cpp-balanced@llama-cpp-python" in {
        change.sentence for change in found.breaking
    }


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        (
            "model",
            "ollama_chat/x",
            "asks its server for another model: from llama3.1:latest to ollama_chat/x",
        ),
        ("timeout", 20, "changes its timeout from 30 s to 20 s"),
        ("stream_timeout", 20, "changes its stream timeout from 10 s to 20 s"),
        ("api_key", "os.environ/NAME", "gets a key: $NAME"),
        ("rpm", 7, "gets a limit of requests a minute: 7"),
        ("api_version", "v2", "gets a litellm_params.api_version: v2"),
    ],
)
def test_each_property_of_a_deployment_is_told(
    compiled: Config, changed: Config, key: str, value: Any, sentence: str
) -> None:
    params(changed, "llama3.1:latest")[key] = value
    assert sentences(compiled, changed) == [f"`llama3.1:latest` {sentence}"]


def test_another_place_in_the_order_is_told(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    before = config(entry("a", identity="x", order=1), entry("a", identity="y", order=2))
    after = config(entry("a", identity="x", order=2), entry("a", identity="y", order=1))
    assert sentences(before, after) == [
        "`a` (x) changes its place in the order from 1 to 2",
        "`a` (y) changes its place in the order from 2 to 1",
    ]


def test_a_lone_deployment_that_is_replaced_is_described_not_lost(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    before = config(entry("a", identity="x"))
    after = config(entry("a", "http://two:2", identity="y", model="openai/other"))
    kinds = {change.kind for change in plan(before, after).changes}
    assert kinds == {Kind.DEPLOYMENT_CHANGED}


def test_a_name_that_only_now_reaches_the_server_that_moves_is_affected(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    before = config(entry("a"), entry("b"))
    after = config(entry("a"), entry("b", "http://two:2"), fallbacks=[{"a": ["b"]}])
    moved = next(c for c in plan(before, after).changes if c.kind is Kind.DEPLOYMENT_CHANGED)
    assert moved.affects == ("a",)


def test_an_alias_beside_its_target_is_a_fallback_of_its_own(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    alias = {"twin": "b"}
    before = config(
        entry("a"), entry("b"), fallbacks=[{"a": ["b", "twin"]}], model_group_alias=alias
    )
    after = config(entry("a"), entry("b"), fallbacks=[{"a": ["b"]}], model_group_alias=alias)
    assert sentences(before, after) == ["`a` loses its second fallback, twin"]


def test_another_id_is_told_because_metrics_follow_it(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    (sentence,) = sentences(config(entry("a", identity="x")), config(entry("a", identity="y")))
    assert sentence.endswith("from x to y")


@pytest.mark.parametrize(
    ("section", "key", "value", "sentence"),
    [
        ("router_settings", "num_retries", 2, "retries: num_retries changes from 0 to 2"),
        (
            "router_settings",
            "cooldown_time",
            60,
            "circuit breaker: cooldown_time changes from 3 to 60 s",
        ),
        (
            "router_settings",
            "routing_strategy",
            "least-busy",
            "routing: routing_strategy is set to least-busy",
        ),
        ("litellm_settings", "cache", True, "cache: cache is set to true"),
        ("litellm_settings", "max_budget", 5, "budgets: max_budget is set to 5"),
        (
            "litellm_settings",
            "callbacks",
            [],
            "metrics: prometheus is switched off (litellm_settings.callbacks)",
        ),
        (
            "general_settings",
            "master_key",
            "os.environ/OTHER",
            "access: master_key changes from $LITELLM_MASTER_KEY to $OTHER",
        ),
    ],
)
def test_each_setting_is_told_under_its_topic(
    compiled: Config, changed: Config, section: str, key: str, value: Any, sentence: str
) -> None:
    changed[section][key] = value
    assert sentence in sentences(compiled, changed)


def test_the_breaker_unset_is_a_change_even_from_its_default(
    compiled: Config, changed: Config
) -> None:
    compiled["router_settings"]["cooldown_time"] = 5
    del changed["router_settings"]["cooldown_time"]
    assert sentences(compiled, changed) == [
        "circuit breaker: cooldown_time is no longer set, it was 5 s"
    ]


def test_a_chain_for_long_prompts_is_told_apart(compiled: Config, changed: Config) -> None:
    changed["router_settings"]["context_window_fallbacks"] = [
        {"qwen-coder-vllm": ["qwen2.5-coder:7b"]}
    ]
    said = sentences(compiled, changed)
    assert "`qwen-coder-vllm` loses its first fallback for long prompts, llama-cpp-llama3.1" in said
    # Once set for one group it takes the regular chain from every other.
    assert (
        "`dolphin-uncensored-vllm` loses its only fallback for long prompts, mythomax-l2-13b-q5_k_m"
    ) in said


def test_browser_origins_are_told_one_by_one(compiled: Config, shipped: Registry) -> None:
    there = environment(shipped)
    fewer = {**there, "LITELLM_CORS_ORIGINS": shipped.gateway.cors_origins[0]}
    lost = set(shipped.gateway.cors_origins[1:])
    found = plan(compiled, compiled, before_env=there, after_env=fewer)
    assert {change.does for change in found.changes} == {
        f"pages of {origin} may no longer call the gateway from a browser" for origin in lost
    }


def test_an_environment_without_origins_lets_every_page_in(compiled: Config) -> None:
    one = {"LITELLM_CORS_ORIGINS": "http://localhost:3000"}
    found = plan(compiled, compiled, before_env=one, after_env={"LITELLM_CORS_ORIGINS": " "})
    assert "pages of every origin may now call" in found.changes[-1].sentence


def test_files_as_generated_are_no_change(tmp_path: Path, shipped: Registry) -> None:
    generated = compile_files(shipped)
    for name, text in generated.items():
        (tmp_path / name).write_text(text)
    assert not plan_files(tmp_path, generated)


def test_comments_order_of_keys_and_header_are_no_change(
    tmp_path: Path, shipped: Registry, compiled: Config
) -> None:
    generated = compile_files(shipped)
    text = "# sources-sha256: none\n" + yaml.safe_dump(compiled, sort_keys=True)
    (tmp_path / CONFIG_FILE).write_text(text)
    (tmp_path / ENV_FILE).write_text(
        "\n".join(reversed(generated[ENV_FILE].splitlines())) + "\n# and a comment\n"
    )
    assert not plan_files(tmp_path, generated)


def test_where_nothing_was_generated_everything_is_new(tmp_path: Path, shipped: Registry) -> None:
    found = plan_files(tmp_path, compile_files(shipped))
    assert {change.kind for change in found.changes} == {Kind.NAME_ADDED, Kind.SETTING_CHANGED}


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{of}'] * 9)}]\n" for of, name in pairwise("abcdefghijk")
)
BAD_FILES = {
    "no yaml": (b"a: [", ":1: no YAML"),
    "no text": (b"\xff", "no UTF-8 text at byte 0"),
    "a list": (b"- 1", "no mapping, but a list"),
    "no model list": (b"model_list: 7", "model_list is no list"),
    "no parameters": (b"model_list: [{model_name: x}]", r"model_list\[0\] has no model_name or no"),
    "no section": (b"router_settings: [1]", "router_settings is no mapping"),
    "deep": (b"[" * 200_000, "nested deeper than 60 levels"),
    "endless": (b"a: &a [*a]", "nested deeper than 60 levels"),
    "a billion laughs": (LAUGHS.encode(), "2,000,000 values"),
    "no such day": (b"a: 2026-13-45", "no YAML"),
    "a huge number": (b"a: " + b"9" * 5000, "no YAML"),
}


@pytest.mark.parametrize(("content", "error"), BAD_FILES.values(), ids=BAD_FILES)
def test_whatever_is_on_disk_there_is_a_clear_error(
    tmp_path: Path, shipped: Registry, content: bytes, error: str
) -> None:
    (tmp_path / CONFIG_FILE).write_bytes(content)
    with pytest.raises(PlanError, match=error):
        plan_files(tmp_path, compile_files(shipped))


def test_a_folder_in_place_of_the_file_is_explained(tmp_path: Path, shipped: Registry) -> None:
    (tmp_path / CONFIG_FILE).mkdir()
    with pytest.raises(PlanError, match="cannot be read"):
        plan_files(tmp_path, compile_files(shipped))


def test_planning_changes_neither_side(compiled: Config, changed: Config) -> None:
    changed["router_settings"]["default_fallbacks"] = ["llama3.1:latest"]
    there, here = copy.deepcopy(compiled), copy.deepcopy(changed)
    plan(compiled, changed)
    assert (compiled, changed) == (there, here)
