from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

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
        tuple(e._replace(at_ns=0, after_ns=0, merged=False) for e in answer.events),
        tuple(d._replace(at_ns=0, after_ns=0, merged=False) for d in answer.deltas),
        (answer.text, answer.usage, answer.error, answer.done, answer.model, answer.ids),
        dict(answer.finish_reasons),
        (answer.body, answer.body_fault),
        answer.response.body,
    )


deltas = st.sampled_from(
    [
        *({"role": "assistant"}, {"role": "assistant", "content": ""}, {}, None, 7),
        *({"content": "Grüße"}, {"content": " hello"}, {"content": None, "refusal": "no"}),
        *({"reasoning": "hm", "reasoning_content": "hm"}, {"reasoning": "", "content": "x"}),
        {"tool_calls": [{"index": 0, "function": {"name": "look", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}, 3]},
        {"function_call": {"name": "look"}, "content": "then"},
    ]
)
chosen = st.fixed_dictionaries(
    {"delta": deltas, "finish_reason": st.sampled_from([None, None, "stop", "length", 1])},
    optional={
        "index": st.sampled_from([0, 0, 0, 1, 2, True, None, "0"]),
        "text": st.sampled_from(["legacy", "", 3]),
    },
)
chunks = st.fixed_dictionaries(
    {"choices": st.lists(chosen | st.integers(), max_size=2) | st.none()},
    optional={
        "id": st.sampled_from(["c1", "c2", "", 4]),
        "model": st.sampled_from(["m", "", None]),
        "object": st.sampled_from(["chat.completion.chunk", "error"]),
        "usage": st.sampled_from([None, {"completion_tokens": 3}, {}]),
        "error": st.sampled_from([None, {"message": "gone"}, "gone", "", {}]),
    },
)
said = st.one_of(
    st.builds(json.dumps, chunks, ensure_ascii=st.booleans()).map(str.encode),
    st.sampled_from(
        [
            *(b"[DONE]", b"{", b"NaN", b'{"id":"\xff"}', b" {} ", b"{} x", b'{"id":1}{}', b"[1]"),
            *(b"\xef\xbb\xbf{}", b"  " + b"[" * 3000, b"", b'{"model":"a","model":"b"}   '),
        ]
    ),
)
streams = st.tuples(
    st.lists(said, max_size=8),
    st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r"]),
    st.sampled_from([b"", b": ping\n\n", b"event: error\n"]),
).map(lambda one: b"".join(one[2] + b"data: " + data + one[1] for data in one[0]))


def strict(data: bytes) -> tuple[Any, bool]:
    """The JSON in ``data`` and whether there is some, as plainly as it can be had."""
    try:
        found = json.loads(data.decode("utf-8"))
        return found, not re.search(r"NaN|Infinity", data.decode())
    except (ValueError, RecursionError):
        return None, False


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def tokens(part: Any) -> list[tuple[str, str]]:
    if not isinstance(part, dict):
        return []
    thought = text(part.get("reasoning_content")) or text(part.get("reasoning"))
    listed = part["tool_calls"] if isinstance(part.get("tool_calls"), list) else []
    calls = [call.get("function") for call in listed if isinstance(call, dict)]
    found = [("reasoning", thought), ("content", text(part.get("content")))]
    found.append(("refusal", text(part.get("refusal"))))
    found += [
        ("tool", text(call.get("arguments")) or text(call.get("name")))
        for call in (*calls, part.get("function_call"))
        if isinstance(call, dict)
    ]
    return [(kind, words) for kind, words in found if words]


@settings(deadline=None)
@given(streams, st.lists(st.integers(min_value=0), max_size=12))
def test_a_stream_says_what_its_events_say_one_by_one(body: bytes, cuts: list[int]) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    url = "http://127.0.0.1/v1/chat/completions"
    answer = answers.read(exchange(head + body, cuts, url=url, asked=b"", end=End.EOF))
    found: list[tuple[object, ...]] = []
    finished: dict[int, str] = {}
    indexes: set[int] = set()
    objects = []
    for event in answer.events:
        document, good = strict(event.data)
        assert (event.json if good else None) == (document if good else None)
        assert bool(event.fault) is not (good or event.data == b"[DONE]")
        if not good or not isinstance(document, dict):
            continue
        objects.append(document)
        listed = document["choices"] if isinstance(document.get("choices"), list) else []
        for choice in listed:
            if isinstance(choice, dict):
                index = choice.get("index")
                index = index if type(index) is int else 0
                indexes.add(index)
                legacy = [("content", choice["text"])] if text(choice.get("text")) else []
                for kind, words in legacy + tokens(choice.get("delta")):
                    stamps = (event.at_ns, event.after_ns, event.merged)
                    found.append((*stamps, kind, words, index, event.position))
                if text(choice.get("finish_reason")):
                    finished[index] = choice["finish_reason"]

    assert [tuple(delta) for delta in answer.deltas] == found
    assert answer.text == "".join(
        str(words) for *_, kind, words, index, _ in found if kind == "content" and index == 0
    )
    assert answer.finish_reasons == finished
    assert set(answer.indexes) == indexes
    assert answer.done is any(event.data == b"[DONE]" for event in answer.events)
    names = [text(one.get("id")) for one in objects]
    assert answer.ids == tuple(dict.fromkeys(filter(None, names)))
    assert answer.model == next(filter(None, (text(one.get("model")) for one in objects)), None)
    usages = [one["usage"] for one in objects if isinstance(one.get("usage"), dict)]
    assert answer.usage == (usages[-1] if usages else None)
    errors = [one for one in objects if one.get("error") or one.get("object") == "error"]
    assert (answer.error is not None) is bool(errors)
