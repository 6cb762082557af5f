from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness import answer as answers
from harness.answer import Answer, DeltaKind, Kind
from harness.wire.exchange import End, Exchange, Read, Request

Reply = Callable[..., Answer]

STREAM = (
    'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
    ": ping\n\n"
    'data: {"id":"c1","choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}\r\n\r\n'
    'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"Grüße "}}]}\n\n'
    'data: {"id":"c1","choices":[{"index":1,"delta":{"content":"other"}}]}\n\n'
    'data: {"id":"c1","choices":[{"delta":{"content":"東京"},"finish_reason":"stop"}]}\n\n'
    'data: {"id":"c1","choices":[{"index":1,"delta":{},"finish_reason":"length"}]}\n\n'
    'data: {"id":"c2","choices":[],"usage":{"total_tokens":9}}\n\n'
    "data: [DONE]\n\n"
)
SSE = "text/event-stream; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/chat/completions", Kind.CHAT),
        ("/v1/chat/completions/?x=1", Kind.CHAT),
        ("/v1/completions", Kind.COMPLETION),
        ("/v1/models", Kind.MODELS),
        ("/v1/models/llama-3", Kind.MODELS),
        ("/health", Kind.OTHER),
    ],
)
def test_the_path_tells_the_kind(path: str, kind: Kind) -> None:
    assert answers.kind_of(Request(method="GET", url=f"http://h{path}")) is kind


def test_a_stream_is_read_to_its_facts(reply: Reply) -> None:
    answer = reply(STREAM, media=SSE)
    assert answer.streamed
    assert answer.done
    assert answer.text == "Grüße 東京"
    assert answer.finish_reasons == {0: "stop", 1: "length"}
    assert answer.usage == {"total_tokens": 9}
    assert answer.model == "m"
    assert answer.ids == ("c1", "c2")
    assert answer.error is None
    assert answer.wholeness


def test_deltas_are_the_token_bearing_pieces_alone(reply: Reply) -> None:
    deltas = reply(STREAM, media=SSE).deltas
    assert [(d.index, d.kind, d.text) for d in deltas] == [
        (0, DeltaKind.REASONING, "hm"),
        (0, DeltaKind.CONTENT, "Grüße "),
        (1, DeltaKind.CONTENT, "other"),
        (0, DeltaKind.CONTENT, "東京"),
    ]


def test_comments_are_no_events(reply: Reply) -> None:
    answer = reply(STREAM, media=SSE)
    assert [event.position for event in answer.events] == list(range(8))
    assert all(b"ping" not in event.data for event in answer.events)


def test_a_delta_carries_the_stamp_of_the_read_that_completed_it(reply: Reply) -> None:
    first = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    second = b'data: {"choices":[{"delta":{"content":"b"}}]}\n\n'
    head = len(b"HTTP/1.1 200 -\r\ncontent-type: text/event-stream\r\n\r\n")
    answer = reply(
        first + second, media="text/event-stream", cuts=(head, head + 9, head + len(first))
    )
    assert [(d.text, d.at_ns, d.after_ns, d.merged) for d in answer.deltas] == [
        ("a", 300, 200, False),
        ("b", 400, 300, False),
    ]


def test_deltas_that_share_a_read_say_so(reply: Reply) -> None:
    answer = reply(STREAM, media=SSE)
    assert {d.at_ns for d in answer.deltas} == {100}
    assert all(d.merged for d in answer.deltas)


def test_done_is_exact(reply: Reply) -> None:
    assert reply("data: [DONE]\n\n", media=SSE).done
    assert not reply("data: [done]\n\n", media=SSE).done
    assert not reply("data:  [DONE]\n\n", media=SSE).done


def test_a_stream_under_a_wrong_type_is_still_a_stream(reply: Reply) -> None:
    asked = {"stream": True}
    assert reply(STREAM, media="text/plain", asked=asked).streamed
    assert not reply({"choices": []}, asked=asked).streamed
    assert not reply(STREAM, media="text/plain").streamed


def test_a_body_is_read_to_its_facts(reply: Reply) -> None:
    answer = reply(
        {
            "id": "c1",
            "model": "m",
            "choices": [
                {"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"},
                {"index": 1, "message": {"content": "ho"}, "finish_reason": "length"},
            ],
            "usage": {"total_tokens": 3},
        }
    )
    assert (answer.text, answer.model, answer.ids) == ("hi", "m", ("c1",))
    assert answer.finish_reasons == {0: "stop", 1: "length"}
    assert answer.usage == {"total_tokens": 3}
    assert answer.deltas == ()
    assert answer.wholeness


def test_a_body_that_is_no_json_says_why(reply: Reply) -> None:
    answer = reply(b"<html>")
    assert answer.body is None
    assert "not JSON" in answer.body_fault


def test_an_error_frame_is_found_in_a_stream(reply: Reply) -> None:
    answer = reply('data: {"error": {"message": "gone", "code": null}}\n\n', media=SSE)
    assert answer.error == {"message": "gone", "code": None}


def exchange(raw: bytes, cuts: list[int], *, url: str, asked: bytes, end: End) -> Exchange:
    edges = [0, *sorted(c % (len(raw) + 1) for c in cuts), len(raw)]
    pieces = [raw[a:b] for a, b in pairwise(edges)]
    return Exchange(
        id="x",
        request=Request(method="POST", url=url, body=asked),
        started_ns=0,
        ended_ns=10_000,
        reads=tuple(Read(n, piece) for n, piece in enumerate(pieces, start=1)),
        end=end,
    )


heads = st.sampled_from(
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 500 X\r\ncontent-length: 12\r\n\r\n",
    ]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("choices", "delta", "message", "content", "tool_calls", "function", "index"),
                    *("finish_reason", "usage", "error", "id", "model", "data", "object", "text"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
bodies = st.one_of(
    st.binary(max_size=200),
    json_values.map(lambda v: _event(v) + b"data: [DONE]\n\n"),
    st.lists(json_values, max_size=3).map(lambda vs: b"".join(_event(v) for v in vs)),
    json_values.map(lambda v: _event(v)[6:]),
)
requests = st.sampled_from(
    ["/v1/chat/completions", "/v1/completions", "/v1/models", "/x", "//[", "?"]
)


def _event(value: object) -> bytes:
    import json  # noqa: PLC0415

    return b"data: " + json.dumps(value).encode() + b"\n\n"


@settings(deadline=None)
@example(raw=b"\r\n", cuts=[1], path="/x", asked=b"", end=End.EOF)
@example(raw=b"\x16\r\n\r\n", cuts=[1], path="/x", asked=b"", end=End.EOF)
@given(
    raw=st.tuples(heads, bodies).map(b"".join),
    cuts=st.lists(st.integers(min_value=0), max_size=6),
    path=requests,
    asked=st.sampled_from([b"", b'{"stream": true}', b"[", b"7"]),
    end=st.sampled_from(End),
)
def test_reading_is_total_and_blind_to_how_the_bytes_were_cut(
    raw: bytes, cuts: list[int], path: str, asked: bytes, end: End
) -> None:
    url = f"http://127.0.0.1{path}"
    whole = answers.read(exchange(raw, [], url=url, asked=asked, end=end))
    cut = answers.read(exchange(raw, cuts, url=url, asked=asked, end=end))
    assert _timeless(whole) == _timeless(cut)


def _timeless(answer: Answer) -> object:
    """Everything an answer says, but the stamps and how it was cut."""
    return (
        answer.kind,
        answer.status,
        answer.streamed,
        answer.wholeness,
        tuple(replace(e, at_ns=0, after_ns=0, merged=False) for e in answer.events),
        tuple(replace(d, at_ns=0, after_ns=0, merged=False) for d in answer.deltas),
        (answer.text, answer.usage, answer.error, answer.done, answer.model, answer.ids),
        dict(answer.finish_reasons),
        (answer.body, answer.body_fault),
        answer.response.body,
    )
