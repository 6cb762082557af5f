"""Anthropic's Messages API, against the examples of its documentation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.engines.tokens import witness

PATH = "/v1/messages"
TOOL = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Oslo"]}},
        "required": ["city"],
    },
}


def events(answered: Any) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in answered.body.decode().strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_stream_opens_a_block_fills_it_and_says_why_it_ends(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        answered = await it.chat(path=PATH, max_tokens=3, stream=True)
        told = events(answered)
        assert [name for name, _ in told] == [
            *("message_start", "content_block_start", "ping"),
            *(["content_block_delta"] * 3),
            *("content_block_stop", "message_delta", "message_stop"),
        ]
        assert all(data["type"] == name for name, data in told)
        start, delta, end = told[0][1]["message"], told[3][1], told[-2][1]
        assert list(start) == [
            *("id", "type", "role", "model", "content"),
            *("stop_reason", "stop_sequence", "usage"),
        ]
        assert delta["delta"] == {"type": "text_delta", "text": "engine-a:"}
        assert end["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
        assert end["usage"] == {"output_tokens": 3}
        unary = (await it.chat(path=PATH, max_tokens=3)).json
        text = "".join(
            data["delta"]["text"]
            for name, data in told
            if "delta" in name[-5:] and "text" in data["delta"]
        )
        assert unary["content"] == [{"type": "text", "text": text}]
        assert witness(text) == "engine-a"
        assert unary["usage"]["output_tokens"] == 3

    lab.run(scenario, dialect="anthropic")


def test_a_stop_sequence_is_named(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        answered = (await it.chat(path=PATH, max_tokens=9, stop_sequences=[":"])).json
        assert (answered["stop_reason"], answered["stop_sequence"]) == ("stop_sequence", ":")

    lab.run(scenario, dialect="anthropic")


def test_a_forced_tool_is_used_with_an_input_that_fits_its_schema(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        asked = {"path": PATH, "max_tokens": 99, "tools": [TOOL]}
        choice = {"type": "tool", "name": "get_weather"}
        answered = (await it.chat(**asked, tool_choice=choice)).json
        (block,) = answered["content"]
        assert (block["type"], block["name"], block["input"]) == (
            "tool_use",
            "get_weather",
            {"city": "Oslo"},
        )
        assert answered["stop_reason"] == "tool_use"
        streamed = events(await it.chat(**asked, tool_choice={"type": "any"}, stream=True))
        pieces = [
            data["delta"]["partial_json"]
            for name, data in streamed
            if name == "content_block_delta"
        ]
        assert json.loads("".join(pieces)) == {"city": "Oslo"}
        assert (await it.chat(**asked, tool_choice={"type": "tool", "name": "x"})).status == 400

    lab.run(scenario, dialect="anthropic")


@pytest.mark.parametrize(
    ("body", "status", "kind", "message"),
    [
        ({"max_tokens": None}, 400, "invalid_request_error", "max_tokens: Field required"),
        ({"max_tokens": 3, "messages": None}, 400, "invalid_request_error", "messages: Field req"),
        ({"max_tokens": 3, "model": "x"}, 404, "not_found_error", "model: x"),
        ({"max_tokens": 3, "temperature": 2}, 400, "invalid_request_error", "temperature: "),
    ],
)
def test_errors_have_a_type_and_a_message(
    lab: Any, body: dict[str, Any], status: int, kind: str, message: str
) -> None:
    async def scenario(it: Any) -> None:
        answered = await it.chat(path=PATH, **body)
        told = answered.json
        assert (answered.status, told["type"], told["error"]["type"]) == (status, "error", kind)
        assert told["error"]["message"].startswith(message)

    lab.run(scenario, dialect="anthropic")


def test_the_key_comes_in_a_header_of_its_own(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        assert (await it.chat(path=PATH, max_tokens=1)).status == 401
        assert (await it.chat("x-api-key: right", path=PATH, max_tokens=1)).status == 200

    lab.run(scenario, dialect="anthropic", api_key="right")


def test_tokens_are_counted_and_models_listed(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        counted = (await it.chat(path=f"{PATH}/count_tokens", system="be kind")).json
        assert counted == {"input_tokens": 4}
        listed = (await it.ask(lab.get("/v1/models"))).json
        assert [each["id"] for each in listed["data"]] == ["small", "large"]
        assert (await it.ask(lab.get("/v1/models/small"))).json["type"] == "model"
        assert (await it.chat()).status == 404

    lab.run(scenario, dialect="anthropic")
