from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.gateway.plan import Change, Kind, Plan, Severity, data, plan, render, summary

if TYPE_CHECKING:
    from collections.abc import Callable

Config = dict[str, Any]


@pytest.fixture
def changed(compiled: Config) -> Config:
    """The shipped configuration after an eventful day."""
    config = copy.deepcopy(compiled)
    router = config["router_settings"]
    router["fallbacks"][0]["qwen-coder-vllm"].pop()
    router["num_retries"] = 2
    for entry in config["model_list"]:
        params = entry["litellm_params"]
        params["api_base"] = params["api_base"].replace(":8001", ":9001")
    config["model_list"] = [e for e in config["model_list"] if e["model_name"] != "gpt-3.5*"]
    fresh = {"model": "openai/m", "api_base": "http://127.0.0.1:7/v1"}
    config["model_list"].append({"model_name": "fresh", "litellm_params": fresh})
    return config


def test_the_whole_text(compiled: Config, changed: Config) -> None:
    assert (
        render(plan(compiled, changed))
        == """\
- gpt-3.5*
    disappears: requests for it are refused  (breaking)

~ qwen-coder-vllm
    loses its second fallback, qwen2.5-coder:7b  (breaking)
    moves from http://127.0.0.1:8001/v1 to http://127.0.0.1:9001/v1
    reached through: code

~ dolphin-uncensored-vllm
    moves from http://127.0.0.1:8001/v1 to http://127.0.0.1:9001/v1
    reached through: uncensored

+ fresh
    is new: answered by openai/m at http://127.0.0.1:7/v1

~ retries
    num_retries changes from 0 to 2

2 routes change (1 breaking), 1 is removed (breaking), 1 is added, 2 more are affected, \
1 setting changes.
"""
    )


def test_no_change_is_said_in_words(compiled: Config) -> None:
    nothing = plan(compiled, compiled)
    assert render(nothing) == "No changes: the gateway does what the sources say.\n"
    assert summary(nothing) == "No changes: the gateway does what the sources say."


def test_routes_with_the_same_changes_share_a_paragraph(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    before = config(entry("a"), entry("b"))
    after = config(entry("a", "http://two:2"), entry("b", "http://two:2"))
    assert (
        render(plan(before, after))
        == """\
~ a, b
    each moves from http://one:1/v1 to http://two:2

2 routes change.
"""
    )


def test_many_names_are_counted_in_the_text_and_all_in_the_data(
    entry: Callable[..., Config], config: Callable[..., Config]
) -> None:
    names = [f"n{number}" for number in range(20)]
    found = plan(config(*map(entry, names)), config())
    text = render(found)
    assert "- n0, n1, n2, n3, n4, n5, n6, n7 and 12 more\n    each disappears" in text
    assert {change["subject"] for change in data(found)["changes"]} == set(names)
    assert text.endswith("20 routes are removed (breaking).\n")


def test_the_data_is_json_and_says_all(compiled: Config, changed: Config) -> None:
    found = plan(compiled, changed)
    read = json.loads(json.dumps(data(found)))
    assert read["exit_code"] == 2
    assert read["breaking"] == len(found.breaking) == 2
    assert read["summary"] == summary(found)
    assert read["changes"][0] == {
        "kind": "name-removed",
        "subject": "gpt-3.5*",
        "sentence": "`gpt-3.5*` disappears: requests for it are refused",
        "severity": "breaking",
        "before": "answered by llama3.1:latest at http://127.0.0.1:11434",
        "after": None,
        "affects": [],
    }


def test_a_name_cannot_move_the_cursor_of_a_terminal() -> None:
    evil = Change(
        kind=Kind.NAME_REMOVED,
        subject="a\x1b[2J\rb",
        does="disappears",
        severity=Severity.BREAKING,
    )
    text = render(Plan((evil,)))
    assert "\x1b" not in text
    assert "\r" not in text
    assert r"a\x1b[2J\rb" in text
