"""Prompts of exact counts, asked of emulated engines, which count as the real ones do."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from harness import answer as answers
from harness.engines.emulated import EmulatedEngine
from harness.engines.spec import EmulatorSpec, ServedModel, Settings
from harness.load.target import Target, counted, exactly
from harness.load.workload.prompts import PromptError, Wording
from harness.load.workload.tokenizer import Tokenizer, TokenizerError
from harness.wire import blocking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@contextmanager
def counting(plain: int | None, stream: int | None) -> Iterator[str]:
    """A server that reports these counts of every prompt, in one piece and as a stream."""

    def said(count: int | None) -> dict[str, object]:
        return {"usage": {"prompt_tokens": count, "completion_tokens": 1, "total_tokens": 2}}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            choice = {"index": 0, "finish_reason": "stop"}
            if asked.get("stream"):
                chunk = {"model": "m", "choices": [choice | {"delta": {"content": "a"}}]}
                told = [] if stream is None else [{"model": "m", "choices": []} | said(stream)]
                events = [f"data: {json.dumps(each)}\n\n" for each in (chunk, *told)]
                kind, body = "text/event-stream", "".join([*events, "data: [DONE]\n\n"])
            else:
                whole = {"model": "m", "choices": [choice | {"message": {"content": "a"}}]}
                kind, body = "application/json", json.dumps(whole | said(plain))
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("stream", "told"), [(200, True), (207, False), (None, False)])
def test_a_stream_whose_count_is_not_the_servers_is_not_believed(
    stream: int | None, told: bool
) -> None:
    with counting(200, stream) as url:
        made = target(url, "chat")
        made = replace(made, wording=Wording(words=("a", "b"), opener="a"))
        found = counted(lambda streamed: made.make(0, stream=streamed).request, "m", 200)
    assert found is told
    assert bool(replace(made, told=told).amiss([{"prompt_tokens": 7}])) is told


@pytest.mark.parametrize(("plain", "why"), [(199, "one of 199 by"), (None, "reports no usage")])
def test_a_prompt_of_another_count_is_refused(plain: int | None, why: str) -> None:
    with counting(plain, 200) as url:
        made = replace(target(url, "chat"), wording=Wording(words=("a", "b"), opener="a"))
        with pytest.raises(TokenizerError, match=why) as raised:
            counted(lambda streamed: made.make(0, stream=streamed).request, "m", 200)
    assert raised.value.id == "load.tokenizer-mismatch"
