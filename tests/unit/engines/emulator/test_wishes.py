"""Tools, schemas, log probabilities, embeddings and tokens, at every dialect that has them."""

from __future__ import annotations

import base64
import json
import math
import struct
from typing import Any

import pytest

from harness.engines.emulator.instances import instance
from harness.engines.emulator.vocabulary import Tokenizer, embedding

SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "green"]},
        "count": {"type": "integer", "minimum": 3, "maximum": 5},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 4}, "minItems": 2},
        "inner": {"$ref": "#/$defs/inner"},
    },
    "required": ["colour", "count", "tags", "inner"],
    "$defs": {"inner": {"type": "object", "properties": {"ok": {"type": "boolean"}}}},
}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
NAMED = {"type": "function", "function": {"name": "get_weather"}}
speakers = pytest.mark.parametrize(
    "dialect", ["llama_cpp_native", "llama_cpp_python", "ollama", "openai", "vllm"]
)


def fits(value: Any) -> bool:
    return (
        value["colour"] in {"red", "green"}
        and 3 <= value["count"] <= 5
        and len(value["tags"]) == 2
        and all(len(tag) <= 4 for tag in value["tags"])
        and isinstance(value["inner"]["ok"], bool)
    )


@speakers
def test_a_forced_tool_is_called_the_same_in_a_stream_and_in_one_body(
    lab: Any, dialect: str
) -> None:
    async def scenario(it: Any) -> None:
        asked = {"tools": [TOOL], "tool_choice": NAMED, "max_tokens": 500}
        choice = (await it.chat(**asked)).json["choices"][0]
        call = choice["message"]["tool_calls"][0]
        assert call["function"]["name"] == "get_weather"
        assert fits(json.loads(call["function"]["arguments"]))
        assert choice["finish_reason"] == ("stop" if dialect == "vllm" else "tool_calls")
        stream = await it.chat(**asked, stream=True)
        deltas = [
            each
            for chunk in stream.chunks
            if chunk["choices"]
            for each in chunk["choices"][0]["delta"].get("tool_calls") or []
        ]
        arguments = "".join(each["function"].get("arguments", "") for each in deltas)
        assert arguments == call["function"]["arguments"]
        named = [each["function"]["name"] for each in deltas if "name" in each["function"]]
        assert set(named) == {"get_weather"}
        assert len(named) == 1 or dialect == "llama_cpp_python"  # which repeats it in each delta
        assert {each["index"] for each in deltas} == {0}

    lab.run(scenario, dialect=dialect)


@pytest.mark.parametrize("dialect", ["llama_cpp_native", "ollama", "openai", "vllm"])
def test_a_schema_is_followed(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> None:
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
        asked = {"response_format": wanted, "max_tokens": 500}
        choice = (await it.chat(**asked)).json["choices"][0]
        assert fits(json.loads(choice["message"]["content"]))
        assert choice["finish_reason"] == "stop"
        assert (await it.chat(**asked, stream=True)).text == choice["message"]["content"]
        short = (await it.chat(response_format=wanted, max_tokens=3)).json["choices"][0]
        assert short["finish_reason"] == "length"

    lab.run(scenario, dialect=dialect)


@speakers
def test_log_probabilities_join_to_the_text_and_are_none_above_zero(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> None:
        asked = {"logprobs": True, "top_logprobs": 2, "max_tokens": 5}
        choice = (await it.chat(**asked)).json["choices"][0]
        told = choice["logprobs"]["content"]
        assert "".join(each["token"] for each in told) == choice["message"]["content"]
        assert all(each["logprob"] <= 0 for each in told)
        assert all(len(each["top_logprobs"]) == 2 for each in told)
        assert all(each["top_logprobs"][0]["token"] == each["token"] for each in told)
        chunks = (await it.chat(**asked, stream=True)).chunks
        streamed = [
            each
            for chunk in chunks
            if chunk["choices"]
            for each in (chunk["choices"][0].get("logprobs") or {}).get("content", [])
        ]
        assert [each["token"] for each in streamed] == [each["token"] for each in told]

    lab.run(scenario, dialect=dialect)


@pytest.mark.parametrize("dialect", ["ollama", "openai"])
def test_embeddings_are_unit_vectors_that_follow_from_the_text(lab: Any, dialect: str) -> None:
    async def scenario(it: Any) -> None:
        asked = {"path": "/v1/embeddings", "input": ["one", "two", "one"], "dimensions": 64}
        data = (await it.chat(**asked)).json["data"]
        assert [each["index"] for each in data] == [0, 1, 2]
        one, two, again = (each["embedding"] for each in data)
        assert one == again != two
        assert math.isclose(sum(each * each for each in one), 1, rel_tol=1e-9)
        packed = (await it.chat(**asked, encoding_format="base64")).json["data"][0]["embedding"]
        numbers = struct.unpack("<64f", base64.b64decode(packed))
        assert all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(numbers, one, strict=True))
        assert (await it.chat(path="/v1/embeddings")).status == 400

    lab.run(scenario, dialect=dialect)


def test_ollama_embeds_loads_and_formats_at_its_own_doors(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        embedded = (await it.chat(path="/api/embed", input=["a", "b"])).json
        assert [len(each) for each in embedded["embeddings"]] == [768, 768]
        loaded = (await it.chat(path="/api/generate")).json
        assert (loaded["done"], loaded["done_reason"], loaded["response"]) == (True, "load", "")
        unloaded = (await it.chat(path="/api/chat", messages=[], keep_alive=0)).json
        assert unloaded["done_reason"] == "unload"
        made = (await it.chat(path="/api/chat", format=SCHEMA, stream=False)).json
        assert fits(json.loads(made["message"]["content"]))

    lab.run(scenario, dialect="ollama")


def test_llama_server_is_loading_before_it_is_ready(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        it.emulator.turns.ready_ns = 1 << 62
        for answered in (await it.ask(lab.get("/health")), await it.chat()):
            assert answered.status == 503
            assert answered.json["error"]["message"] == "Loading model"
            assert answered.json["error"]["type"] == "unavailable_error"
        it.emulator.turns.ready_ns = 0
        assert (await it.ask(lab.get("/health"))).json == {"status": "ok"}

    lab.run(scenario, dialect="llama_cpp_native")


def test_ids_name_the_tokens_they_were_given_for() -> None:
    tokenizer = Tokenizer()
    text = "say  hi to\nthe café 🚀"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert Tokenizer().decode([70, 71]) == "FG"
    assert Tokenizer().decode([99_999]) == "\ufffd"


def test_instances_follow_from_schema_and_seed() -> None:
    assert instance(SCHEMA, "s") == instance(SCHEMA, "s")
    assert len({json.dumps(instance(SCHEMA, str(n))) for n in range(30)}) > 1
    assert fits(instance(SCHEMA))


@pytest.mark.parametrize(
    ("schema", "holds"),
    [
        (True, lambda v: isinstance(v, dict)),
        ({"const": 7}, lambda v: v == 7),
        ({"type": ["null", "string"]}, lambda v: v is None),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, lambda v: 0 < v <= 1),
        ({"type": "integer", "multipleOf": 7, "minimum": 8, "maximum": 20}, lambda v: v == 14),
        ({"type": "string", "minLength": 30, "maxLength": 31}, lambda v: 30 <= len(v) <= 31),
        ({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, lambda v: isinstance(v, int)),
        ({"allOf": [{"required": ["a"]}, {"required": ["b"]}]}, lambda v: set(v) == {"a", "b"}),
        ({"prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 3}, [1, 2, 2].__eq__),
        ({"type": "string", "format": "date"}, lambda v: v.count("-") == 2),
    ],
    ids=lambda value: repr(value) if isinstance(value, dict | bool) else "",
)
def test_an_instance_keeps_within_its_schema(schema: Any, holds: Any) -> None:
    assert holds(instance(schema, "seed"))


def test_a_schema_that_contains_itself_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert instance(node)


def test_an_embedding_has_the_length_that_was_asked_for() -> None:
    assert [len(embedding("x", length)) for length in (1, 16, 1536)] == [1, 16, 1536]
