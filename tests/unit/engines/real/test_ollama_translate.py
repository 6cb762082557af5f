from __future__ import annotations

import json

import pytest

from harness.engines.real.ollama.residency import Refusal
from harness.engines.real.ollama.translate import Answer, chat_request, generate_request

HI = [{"role": "user", "content": "Hi"}]
CALL = {"function": {"name": "add", "arguments": {"a": 1}}}


def test_options_keep_their_meaning() -> None:
    options = {"num_predict": 5, "temperature": 0, "top_k": 3, "stop": "x", "num_ctx": 64}
    asked = chat_request({"messages": HI, "options": options})
    assert asked["max_tokens"] == 5
    assert asked["temperature"] == 0
    assert asked["top_k"] == 3
    assert asked["stop"] == ["x"]
    assert "num_ctx" not in asked


@pytest.mark.parametrize("limit", [-1, -2, None])
def test_an_answer_without_limit_has_none(limit: int | None) -> None:
    assert "max_tokens" not in chat_request({"messages": HI, "options": {"num_predict": limit}})


def test_a_format_becomes_a_response_format() -> None:
    schema = {"type": "object"}
    assert chat_request({"messages": HI, "format": "json"})["response_format"] == {
        "type": "json_object"
    }
    shape = chat_request({"messages": HI, "format": schema})["response_format"]
    assert shape["json_schema"]["schema"] == schema
    with pytest.raises(Refusal, match="invalid format"):
        chat_request({"messages": HI, "format": "yaml"})


def test_calls_get_ids_and_their_arguments_become_text() -> None:
    told = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    result = {"role": "tool", "content": "2", "tool_name": "add"}
    asked = chat_request({"messages": [*HI, told, result], "tools": [{"type": "function"}]})
    call = asked["messages"][1]["tool_calls"][0]
    assert (call["id"], json.loads(call["function"]["arguments"])) == ("call_0", {"a": 1})
    assert asked["messages"][2]["name"] == "add"
    assert asked["tools"] == [{"type": "function"}]


def test_a_prompt_is_a_turn_or_raw_text() -> None:
    path, asked = generate_request({"prompt": "Hi", "system": "Be kind."})
    assert path == "/v1/chat/completions"
    assert asked["messages"] == [{"role": "system", "content": "Be kind."}, *HI]
    path, asked = generate_request({"prompt": "Hi", "raw": True})
    assert (path, asked["prompt"]) == ("/v1/completions", "Hi")


@pytest.mark.parametrize(
    "body",
    [
        {"messages": "Hi"},
        {"messages": ["Hi"]},
        {"messages": HI, "options": 1},
        {"messages": [{**HI[0], "images": ["x"]}]},
    ],
)
def test_what_cannot_be_asked_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(Refusal) as caught:
        chat_request(body)
    assert caught.value.status == 400


def test_an_answer_is_taken_event_by_event() -> None:
    answer = Answer()
    said = [
        answer.take({"choices": [{"delta": {"role": "assistant", "content": None}}]}),
        answer.take({"choices": [{"delta": {"content": "a"}, "finish_reason": None}]}),
        answer.take({"choices": [{"delta": {"reasoning_content": "hm"}}]}),
        answer.take({"choices": [{"text": "b", "finish_reason": "length"}]}),
        answer.take(
            {
                "choices": [],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2},
                "timings": {"prompt_ms": 1.5, "predicted_ms": 0.25},
            }
        ),
    ]
    assert said == [("", ""), ("a", ""), ("", "hm"), ("b", ""), ("", "")]
    assert answer.finish == "length"
    assert answer.metrics(total_ns=9, load_ns=1) == {
        "total_duration": 9,
        "load_duration": 1,
        "prompt_eval_count": 3,
        "prompt_eval_duration": 1_500_000,
        "eval_count": 2,
        "eval_duration": 250_000,
    }


def test_pieces_of_a_call_become_one() -> None:
    answer = Answer()
    for part in ({"name": "add", "arguments": ""}, {"arguments": '{"a"'}, {"arguments": ": 1}"}):
        answer.take({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": part}]}}]})
    answer.take({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
    assert (answer.tool_calls(), answer.finish) == ([CALL], "stop")
