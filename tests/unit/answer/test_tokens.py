from __future__ import annotations

import pytest

from harness.answer.model import DeltaKind
from harness.answer.tokens import of_choice, pieces


@pytest.mark.parametrize(
    "delta",
    [
        {"role": "assistant"},
        {"role": "assistant", "content": ""},
        {"content": None, "reasoning_content": "", "refusal": None},
        {"tool_calls": [{"index": 0, "function": {"arguments": ""}}]},
        {"tool_calls": "nonsense", "function_call": 3, "content": 7},
        {},
    ],
)
def test_role_finish_and_empty_deltas_bear_no_token(delta: dict[str, object]) -> None:
    assert list(pieces(delta)) == []


def test_content_reasoning_refusal_and_tools_bear_tokens() -> None:
    delta = {
        "reasoning_content": "think",
        "content": "say",
        "refusal": "no",
        "tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"a'}}],
    }
    assert list(pieces(delta)) == [
        (DeltaKind.REASONING, "think"),
        (DeltaKind.CONTENT, "say"),
        (DeltaKind.REFUSAL, "no"),
        (DeltaKind.TOOL, '{"a'),
    ]


def test_reasoning_under_both_spellings_counts_once() -> None:
    assert list(pieces({"reasoning": "x", "reasoning_content": "x"})) == [
        (DeltaKind.REASONING, "x")
    ]


def test_a_tool_call_begins_with_its_name() -> None:
    delta = {"tool_calls": [{"index": 0, "function": {"name": "look_up", "arguments": ""}}]}
    assert list(pieces(delta)) == [(DeltaKind.TOOL, "look_up")]


@pytest.mark.parametrize(
    "choice", [{"text": "a"}, {"delta": {"content": "a"}}, {"message": {"content": "a"}}]
)
def test_text_delta_and_message_are_read_alike(choice: dict[str, object]) -> None:
    assert list(of_choice(choice)) == [(DeltaKind.CONTENT, "a")]
