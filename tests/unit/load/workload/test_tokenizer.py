"""Prompts of exact counts, asked of emulated engines, which count as the real ones do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness import answer as answers
from harness.engines.emulated import EmulatedEngine
from harness.engines.spec import EmulatorSpec, ServedModel, Settings
from harness.load.target import Target, exactly
from harness.load.workload.prompts import PromptError
from harness.load.workload.tokenizer import Tokenizer, TokenizerError
from harness.wire import blocking

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.target import Prompts


def beside(dialect: str, ask: Callable[[str], None]) -> None:
    """Call ``ask`` with the API root of an emulated engine."""
    spec = EmulatorSpec(
        id="engine",
        dialect=dialect,
        models=(ServedModel("m", 4096),),
        settings=Settings(ttft_ms=0, itl_ms=0),
    )

    async def hold() -> None:
        async with EmulatedEngine(spec) as engine:
            await asyncio.to_thread(ask, f"{engine.endpoint}/v1")

    asyncio.run(hold())


def target(url: str, prompts: Prompts, count: int = 200) -> Target:
    return Target(base_url=url, model="m", prompt_tokens=count, answer_tokens=3, prompts=prompts)


@pytest.mark.parametrize("dialect", ["vllm", "llama_cpp_native"])
def test_the_server_reports_exactly_what_was_asked_for(dialect: str) -> None:
    def ask(url: str) -> None:
        for prompts in ("chat", "ids"):
            made = exactly(target(url, prompts), Tokenizer(url, "m"))
            got = [answers.read(blocking.exchange(made.make(n).request)) for n in range(3)]
            assert [(each.usage or {}).get("prompt_tokens") for each in got] == [200] * 3
            assert made.amiss([each.usage for each in got]) == ""
            bodies = {made.make(number).request.body for number in range(3)}
            assert len(bodies) == 3
        with pytest.raises(PromptError, match="Ask for at least"):
            exactly(target(url, "chat", 1), Tokenizer(url, "m"))

    beside(dialect, ask)


def test_where_streams_tell_no_usage_an_answer_in_one_piece_does() -> None:
    def ask(url: str) -> None:
        tokenizer = Tokenizer(url, "m")
        assert len(tokenizer.ids("one two three")) == 3
        made = exactly(target(url, "chat"), tokenizer)
        assert not made.told
        plain = answers.read(blocking.exchange(made.make(0, stream=False).request))
        assert (plain.usage or {}).get("prompt_tokens") == 200
        assert made.amiss([None, {"prompt_tokens": 7}]) == ""

    beside("llama_cpp_python", ask)


def test_a_server_without_a_tokenizer_is_said_to_have_none() -> None:
    def ask(url: str) -> None:
        for prompts in ("chat", "ids"):
            with pytest.raises(TokenizerError, match=r"/tokenize: 404 .* --tokenizer") as raised:
                exactly(target(url, prompts), Tokenizer(url, "m"))
            assert raised.value.id == "load.tokenizer-missing"
        assert exactly(target(url, "words"), Tokenizer(url, "m")) == target(url, "words")

    beside("openai", ask)


def test_counts_that_are_others_are_said() -> None:
    made = target("http://127.0.0.1:1/v1", "chat")
    assert made.amiss([{"prompt_tokens": 200}, None, {"prompt_tokens": 207}]) == (
        "2 of 3 prompts are not of 200 tokens: usage says 207, no count"
    )
    assert replace(made, prompts="words").amiss([None]) == ""


def test_a_tokenizer_elsewhere_is_not_sent_the_key_of_the_target() -> None:
    own = Tokenizer("http://127.0.0.1:1/v1", "m", "secret")
    assert own.elsewhere(None) == own
    assert own.elsewhere("http://127.0.0.1:2/v1") == Tokenizer("http://127.0.0.1:2/v1", "m")
