from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness import answer as answers
from harness.answer import Answer, State
from harness.wire.exchange import End, Exchange, Read, Request

Reply = Callable[..., Answer]

CHUNK = 'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
ROLE = 'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
FINISH = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = "data: [DONE]\n\n"
ERROR = 'data: {"error":{"message":"out of memory"}}\n\n'


def body(**changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "hi"}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"} | changes]}


@pytest.mark.parametrize(
    ("text", "state", "why"),
    [
        (ROLE + CHUNK + FINISH + DONE, State.WHOLE, "tokens, finish_reason and [DONE]"),
        (ROLE + CHUNK + DONE, State.TRUNCATED, "no finish_reason for choice 0"),
        (ROLE + CHUNK + FINISH, State.TRUNCATED, "ends without [DONE]"),
        (ROLE + CHUNK, State.TRUNCATED, "ends without [DONE]"),
        (ROLE, State.TRUNCATED, "ends without [DONE]"),
        (ROLE + FINISH + DONE, State.EMPTY, "without one token"),
        (DONE, State.EMPTY, "without one token"),
        ("", State.EMPTY, "without one token"),
        (": ping\n\n", State.EMPTY, "without one token"),
        (ROLE + CHUNK + ERROR + DONE, State.ERROR, "in the stream: out of memory"),
        (ROLE + CHUNK + ERROR + FINISH + DONE, State.ERROR, "out of memory"),
        (ROLE + 'data: {"cho\n\n' + FINISH + DONE, State.TRUNCATED, "event 1 is not JSON"),
    ],
)
def test_a_stream_is_whole_with_tokens_finish_and_done_alone(
    reply: Reply, text: str, state: State, why: str
) -> None:
    answer = reply(text, media="text/event-stream")
    assert answer.wholeness.state is state
    assert why in answer.wholeness.why
    assert bool(answer.wholeness) is (state is State.WHOLE)


def test_every_choice_of_a_stream_needs_its_own_finish_reason(reply: Reply) -> None:
    second = CHUNK.replace('"index":0', '"index":1')
    answer = reply(CHUNK + second + FINISH + DONE, media="text/event-stream")
    assert answer.wholeness.why == "no finish_reason for choice 1"


@pytest.mark.parametrize(
    ("given", "state", "why"),
    [
        (body(), State.WHOLE, "content and finish_reason"),
        (body(finish_reason=None), State.TRUNCATED, "no finish_reason for choice 0"),
        (body(message={"content": ""}), State.EMPTY, "choice 0 has no content"),
        (body(message={"content": None}), State.EMPTY, "choice 0 has no content"),
        (body(message={"tool_calls": [{"function": {"name": "f"}}]}), State.WHOLE, "content"),
        ({"choices": []}, State.EMPTY, "without one choice"),
        ({}, State.EMPTY, "without one choice"),
        (b"", State.EMPTY, "empty body"),
        (b'{"choices": [', State.TRUNCATED, "not JSON"),
        (b"<html>bad gateway</html>", State.TRUNCATED, "not JSON"),
        ({"error": {"message": "busy"}}, State.ERROR, "in the body: busy"),
    ],
)
def test_a_body_is_whole_with_content_and_finish_reason_alone(
    reply: Reply, given: Any, state: State, why: str
) -> None:
    answer = reply(given)
    assert answer.wholeness.state is state
    assert why in answer.wholeness.why


@pytest.mark.parametrize("media", ["application/json", "text/event-stream"])
def test_a_body_shorter_than_promised_is_truncated(reply: Reply, media: str) -> None:
    text = CHUNK + FINISH + DONE
    answer = reply(text, media=media, length=len(text) + 1)
    assert answer.wholeness.state is State.TRUNCATED
    assert "the body is cut" in answer.wholeness.why


@pytest.mark.parametrize("status", [204, 302, 400, 404, 429, 500, 503])
def test_any_status_but_200_is_an_error(reply: Reply, status: int) -> None:
    answer = reply(b"", status=status, length=0)
    assert answer.wholeness.state is State.ERROR
    assert str(status) in answer.wholeness.why


def test_an_error_that_is_cut_is_still_an_error(reply: Reply) -> None:
    assert reply(b'{"err', status=502, length=80).wholeness.state is State.ERROR


@pytest.mark.parametrize(
    ("given", "state"),
    [({"data": [{"id": "m"}]}, State.WHOLE), ({"data": []}, State.EMPTY), (b"[", State.TRUNCATED)],
)
def test_a_model_list_is_whole_with_one_model(reply: Reply, given: Any, state: State) -> None:
    assert reply(given, path="/v1/models").wholeness.state is state


def test_another_endpoint_is_whole_with_its_framing(reply: Reply) -> None:
    assert reply(b"ok", path="/health", media="text/plain").wholeness.state is State.WHOLE


@pytest.mark.parametrize(
    ("end", "raw", "state", "why"),
    [
        (End.REFUSED, b"", State.REFUSED, "nobody listened"),
        (End.UNREACHABLE, b"", State.UNREACHABLE, "not reached"),
        (End.TIMEOUT, b"", State.TRUNCATED, "deadline of the client passed before the first byte"),
        (End.RESET, b"", State.TRUNCATED, "reset the connection before the first byte"),
        (End.EOF, b"", State.TRUNCATED, "closed the connection before the first byte"),
        (End.EOF, b"HTTP/1.1 2", State.TRUNCATED, "no status line could be read"),
        (End.EOF, b"SSH-2.0-OpenSSH\r\n", State.TRUNCATED, "no status line could be read"),
    ],
)
def test_an_answer_without_a_status_says_how_it_ended(
    end: End, raw: bytes, state: State, why: str
) -> None:
    exchange = Exchange(
        id="x",
        request=Request(method="POST", url="http://127.0.0.1:1/v1/chat/completions"),
        started_ns=0,
        ended_ns=9,
        reads=(Read(5, raw),) if raw else (),
        end=end,
        detail="port 1",
    )
    wholeness = answers.read(exchange).wholeness
    assert wholeness.state is state
    assert why in wholeness.why
    assert "port 1" in wholeness.why
