from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from harness.gateway.plan.values import HIDDEN, PlanError, flatten, leaf, refuse_bomb

CANARY = "canary-4711-value"


@pytest.mark.parametrize(
    "path",
    [
        ("api_key",),
        ("litellm_params", "aws_secret_access_key"),
        ("cache_params", "password"),
        ("general_settings", "master_key"),
        ("extra_headers", "X-Anything"),
        ("environment", "SLACK_WEBHOOK_URL"),
        ("vertex_credentials",),
        ("apiKey",),
        ("HF_TOKEN",),
    ],
)
def test_what_is_named_like_a_secret_is_hidden(path: tuple[str, ...]) -> None:
    for value in (CANARY, [CANARY], {"deeper": CANARY}, 4711471147):
        shown = leaf(path, value)
        assert HIDDEN in shown.text
        assert "4711" not in f"{shown} {shown!r}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (f"http://user:{CANARY}@host:1/v1", "http://***@host:1/v1"),
        (f"redis://:{CANARY}@host", "redis://***@host"),
        (f"https://host/v1?sig={CANARY}&x=1", "https://host/v1?***"),
        (f"sk-{CANARY}", "***"),
        (f"Bearer {CANARY}", "***"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_wherever_it_stands(value: str, shown: str) -> None:
    assert leaf(("server",), value).text == shown
    assert leaf(("any", "name"), [value]).text == f'["{shown}"]'


@pytest.mark.parametrize("path", [("max_tokens",), ("max_input_tokens",), ("keyboard",)])
def test_what_only_resembles_a_secret_is_shown(path: tuple[str, ...]) -> None:
    assert leaf(path, 4096).text == "4096"


def test_a_switch_under_a_secret_name_is_shown() -> None:
    assert leaf(("require_auth_for_metrics_endpoint",), False).text == "false"


def test_the_name_of_a_variable_is_no_secret() -> None:
    assert leaf(("api_key",), "os.environ/MY_KEY").text == "$MY_KEY"


def test_two_hidden_values_are_still_told_apart() -> None:
    assert leaf(("api_key",), "one-secret") != leaf(("api_key",), "other-secret")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (30, 30.0, True),
        (1, True, False),
        (0, False, False),
        ("1", 1, False),
        (float("nan"), float("nan"), True),
        ([1, 2], [2, 1], False),
        ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}], True),
        (date(2026, 1, 1), "2026-01-01", False),
    ],
)
def test_values_are_equal_where_litellm_cannot_tell_them_apart(
    one: Any, other: Any, same: bool
) -> None:
    assert (leaf(("x",), one) == leaf(("x",), other)) is same


@pytest.mark.parametrize(("value", "text"), [(30.0, "30"), (0.5, "0.5"), (None, "nothing")])
def test_numbers_are_shown_as_one_would_write_them(value: Any, text: str) -> None:
    assert leaf(("x",), value).text == text


def test_a_number_too_long_to_print_is_called_that() -> None:
    assert leaf(("x",), 16**5000).text == "a huge number"


def test_what_is_empty_is_not_there() -> None:
    assert flatten(("a",), {"b": None, "c": [], "d": {}, "e": {"f": 0}}) == {
        ("a", "e", "f"): leaf(("a", "e", "f"), 0)
    }


def test_shared_values_count_as_often_as_they_are_referred_to() -> None:
    value: Any = ["x"] * 10
    for _ in range(7):
        value = [value] * 10
    with pytest.raises(PlanError, match="2,000,000 values"):
        refuse_bomb(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(PlanError, match="nested deeper"):
        refuse_bomb(value)
