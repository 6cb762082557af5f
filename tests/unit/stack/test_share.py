from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from harness import answer as answers
from harness.answer import Answer, ask
from harness.engines.emulated import EmulatedEngine
from harness.engines.spec import EmulatorSpec, ServedModel, Settings
from harness.stack.share import _first_token, gateway_share_ms
from harness.wire import RecordingClient, Request

if TYPE_CHECKING:
    from harness.engines.ledger import LedgerEntry


def asked(questions: list[str], dialect: str = "vllm") -> tuple[list[Answer], list[LedgerEntry]]:
    """Answers an emulated engine streamed, and its ledger of them."""
    spec = EmulatorSpec(
        id="engine",
        dialect=dialect,
        models=(ServedModel(id="m"),),
        settings=Settings(ttft_ms=20, itl_ms=2),
    )

    async def drive() -> tuple[list[Answer], list[LedgerEntry]]:
        async with EmulatedEngine(spec) as engine, RecordingClient() as client:
            got = [
                answers.read(
                    await client.send(
                        ask.chat(f"{engine.endpoint}/v1", model="m", content=text, stream=True)
                    )
                )
                for text in questions
            ]
            return got, await engine.ledger()

    return asyncio.run(drive())


@pytest.mark.parametrize("dialect", ["vllm", "ollama", "llama_cpp_native", "llama_cpp_python"])
def test_without_a_gateway_the_share_is_less_than_the_wait_for_the_first_token(
    dialect: str,
) -> None:
    got, ledger = asked(["a", "b", "c"], dialect)
    shares = gateway_share_ms(got, ledger)
    assert len(shares) == 3
    for share, answer in zip(shares, got, strict=True):
        sent = answer.exchange.sent_ns
        assert sent is not None
        # A busy machine may stamp the engine's write late, never early: no lower bound.
        assert share < (answer.deltas[0].at_ns - sent) / 1e6


def test_what_an_engine_said_in_anthropics_dialect_is_found_by_its_text() -> None:
    """The gateway translates it: the same words come out as OpenAI chunks."""
    spec = EmulatorSpec(id="engine", dialect="anthropic", models=(ServedModel(id="m"),))

    async def drive(content: str) -> tuple[Answer, list[LedgerEntry]]:
        async with EmulatedEngine(spec) as engine, RecordingClient() as client:
            body = {
                "model": "m",
                "max_tokens": 4,
                "stream": True,
                "messages": [{"role": "user", "content": content}],
            }
            request = Request(
                method="POST",
                url=f"{engine.endpoint}/v1/messages",
                headers=(("content-type", "application/json"),),
                body=json.dumps(body).encode(),
            )
            return answers.read(await client.send(request)), await engine.ledger()

    _, ledger = asyncio.run(drive("a"))
    (found,) = (first for entry in ledger if (first := _first_token(entry)))
    text, at_ns = found
    assert text.startswith("engine:")
    assert ledger[0].received_ns < at_ns


def test_an_answer_the_engine_did_not_give_has_no_share() -> None:
    got, _ = asked(["a"])
    _, ledger = asked(["b"])
    assert gateway_share_ms(got, ledger) == []


def test_equal_questions_cannot_be_told_apart_and_are_left_out() -> None:
    got, ledger = asked(["same", "same", "other"])
    assert len(gateway_share_ms(got, ledger)) == 1
