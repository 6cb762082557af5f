"""The chat template, rendered as transformers renders it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harness.engines import models

TEMPLATE = Path(models.__file__).with_name("chat_template.jinja").read_text("utf-8")
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
BEGIN, ASSISTANT = "<|startoftext|>", "<|assistant|>"


def rendered(*messages: dict[str, Any], **words: Any) -> str:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = json.dumps
    words = {"add_generation_prompt": True, "bos_token": BEGIN, **words}
    return environment.from_string(TEMPLATE).render(messages=list(messages), **words)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_turns_follow_one_another_and_the_assistant_is_asked() -> None:
    text = rendered({"role": "system", "content": "Be kind."}, user("Hi"))
    system, asked = "system\nBe kind.<|im_end|>\n", "user\nHi<|im_end|>\n"
    assert text == f"{BEGIN}<|im_start|>{system}<|im_start|>{asked}{ASSISTANT}"
    assert not rendered(user("Hi"), add_generation_prompt=False).endswith(ASSISTANT)


def test_what_was_answered_before_reads_as_it_was_written() -> None:
    before = rendered(user("Hi"))
    after = rendered(user("Hi"), {"role": "assistant", "content": "vllm: bada"}, user("And?"))
    assert after.startswith(f"{before}vllm: bada<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n")


def test_parts_of_a_content_are_one_text() -> None:
    parts = [{"type": "text", "text": "a b"}, {"type": "text", "text": " c"}]
    assert rendered(user(parts)) == rendered(user("a b c"))


@pytest.mark.parametrize("system", [[], [{"role": "system", "content": "Be kind."}]])
def test_tools_are_described_in_one_system_turn(system: list[dict[str, Any]]) -> None:
    text = rendered(*system, user("1+1?"), tools=[TOOL])
    assert text.count("<|im_start|>system") == 1
    assert json.dumps(TOOL) in text
    assert ("Be kind." in text) == bool(system)


def test_calls_and_their_results_are_told() -> None:
    call = {"id": "1", "function": {"name": "add", "arguments": '{"a": 1}'}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    text = rendered(user("1+1?"), asked, {"role": "tool", "content": "2"}, tools=[TOOL])
    assert '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call><|im_end|>' in text
    assert "<|im_start|>user\n<tool_response>\n2\n</tool_response><|im_end|>\n" in text


def test_arguments_may_be_an_object_as_well() -> None:
    def told(arguments: Any) -> str:
        call = {"function": {"name": "add", "arguments": arguments}}
        return rendered(user("x"), {"role": "assistant", "content": "", "tool_calls": [call]})

    assert told({"a": 1}) == told('{"a": 1}')
