from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness import answer as answers
from harness.load.goodput import (
    GAPS,
    METRICS,
    Met,
    Objective,
    figure,
    goodput,
    met,
    met_by,
    objectives,
)
from harness.load.timing import timing
from harness.wire import End, Exchange, Read, Request
from harness.wire.engine.recorded import UNSTAMPED, Recorded, Tape

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.answer import Answer

MS = 1_000_000
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
ASKED = Request(method="POST", url="http://g.test/v1/chat/completions", body=b'{"stream": true}')
DONE = b"data: [DONE]\n\n"


def event(delta: dict[str, object], finish: str | None = None, used: int | None = None) -> bytes:
    chunk: dict[str, object] = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    if used is not None:
        chunk["usage"] = {
            "prompt_tokens": 1,
            "completion_tokens": used,
            "total_tokens": used + 1,
        }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def usage(tokens: int) -> bytes:
    said = json.loads(event({}, used=tokens).removeprefix(b"data: "))
    return b"data: " + json.dumps({**said, "choices": []}).encode() + b"\n\n"


def said(text: str = "a", finish: str | None = None, used: int | None = None) -> bytes:
    return event({"content": text}, finish, used)


def stream(*timed: tuple[int, bytes]) -> Answer:
    """Started at 0, sent at 10 ms, with reads at these milliseconds after that."""
    return answers.read(
        Exchange(
            id="x",
            request=ASKED,
            started_ns=0,
            connected_ns=5 * MS,
            sent_ns=10 * MS,
            ended_ns=1000 * MS,
            reads=(Read(11 * MS, HEAD), *(Read((10 + at) * MS, data) for at, data in timed)),
            end=End.EOF,
        )
    )


def test_every_time_has_its_beginning_and_its_end() -> None:
    found = met_by(
        stream(
            (5, event({"role": "assistant", "content": ""})),
            (40, event({"reasoning_content": "hm"})),
            (100, said()),
            (120, said()),
            (180, said()),
            (190, event({}, "stop")),
            (200, DONE),
        ),
        due_ns=-30 * MS,
    )
    assert found.whole
    assert (found.queue_ms, found.ttft_ms, found.visible_ms) == (40, 40, 100)
    assert (found.itl_ms, found.stall_ms) == (60, 60)
    assert found.tpot_ms == pytest.approx(140 / 3)
    assert (found.e2e_ms, found.normalised_ms) == (200, 50)
    assert (found.due_ttft_ms, found.due_e2e_ms) == (80, 240)
    assert (found.tokens, found.chunks, found.merged, found.ttft_slack_ms) == (4, 4, 0, 0)


def test_the_tokens_of_the_first_chunk_are_not_counted_again() -> None:
    """Four tokens a chunk at 20 ms a token: 80 ms a chunk is 20 ms a token, not 19."""
    chunks = [(100 + 80 * number, said("a b c d")) for number in range(16)]
    found = met_by(stream(*chunks, (1301, event({}, "stop")), (1302, usage(64)), (1303, DONE)))
    assert found.tpot_ms == pytest.approx(20)
    assert found.itl_ms == 80


def test_usage_in_every_chunk_states_the_tokens_of_the_first() -> None:
    found = met_by(
        stream(
            (100, said("a b c", used=3)),
            (200, said("d", used=4)),
            (300, said("e", used=5)),
            (301, event({}, "stop", used=5)),
            (302, DONE),
        )
    )
    assert found.tpot_ms == pytest.approx(100)


def both(text: str, finish: str | None = None) -> bytes:
    """Two choices in one chunk."""
    chunk = json.loads(event({"content": text}, finish).removeprefix(b"data: "))
    first = chunk["choices"][0]
    return (
        b"data: "
        + json.dumps({**chunk, "choices": [first, {**first, "index": 1}]}).encode()
        + b"\n\n"
    )


def calls(text: str) -> bytes:
    """Two tool calls in one chunk."""
    return event({"tool_calls": [{"index": at, "function": {"arguments": text}} for at in (0, 1)]})


@pytest.mark.parametrize(
    "chunk", [both, calls, lambda text: event({"reasoning_content": text, "content": text})]
)
def test_a_chunk_that_brings_two_pieces_is_one_chunk(chunk: Callable[[str], bytes]) -> None:
    """Four chunks, 20 ms apart, of two tokens each: 10 ms a token, and no gap within a chunk."""
    found = met_by(
        stream(
            *((100 + 20 * number, chunk("a")) for number in range(4)),
            (180, both("", "stop")),
            (181, usage(8)),
            (182, DONE),
        )
    )
    assert (found.itl_ms, found.stall_ms, found.tpot_ms) == (20, 20, 10)
    assert (found.tokens, found.chunks, found.merged) == (8, 4, 0)


def test_pieces_of_one_chunk_count_once_as_merged() -> None:
    found = met_by(stream((100, both("a") + both("b")), (101, both("", "stop")), (102, DONE)))
    assert (found.chunks, found.merged, found.tokens) == (2, 2, 4)
    assert found.itl_ms == 0, "they shared a read"


def test_one_chunk_has_no_gap_and_no_tpot() -> None:
    found = met_by(stream((100, said()), (101, event({}, "stop")), (102, DONE)))
    assert (found.itl_ms, found.stall_ms, found.tpot_ms) == (None, None, None)
    assert found.ttft_ms == 100


def test_a_first_token_that_shared_its_read_says_by_how_much_it_may_be_off() -> None:
    found = met_by(stream((100, said() + said()), (101, event({}, "stop")), (102, DONE)))
    assert found.ttft_slack_ms == 100
    assert found.merged == 2


@pytest.mark.parametrize(
    "broken",
    [
        [(100, said()), (110, DONE)],
        [(100, said()), (110, event({}, "stop"))],
        [(100, b'data: {"error": {"message": "no", "type": "x"}}\n\n'), (110, DONE)],
    ],
)
def test_an_answer_that_is_not_whole_has_no_times_and_says_why(
    broken: list[tuple[int, bytes]],
) -> None:
    found = met_by(stream(*broken))
    assert not found.whole
    assert found.why
    assert all(getattr(found, field) is None for field in METRICS.values())


def test_a_whole_answer_that_is_no_stream_has_its_whole_time(
    recorded: Callable[..., Exchange],
) -> None:
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
        ],
    }
    exchange = recorded(200, json.dumps(body).encode(), {"content-type": "application/json"})
    found = met_by(answers.read(exchange))
    assert found.whole
    assert (found.e2e_ms, found.ttft_ms, found.tokens) == (3 / MS, None, 0)
    told = {**body, "usage": {"prompt_tokens": 1, "completion_tokens": 7, "total_tokens": 8}}
    exchange = recorded(200, json.dumps(told).encode(), {"content-type": "application/json"})
    assert met_by(answers.read(exchange)).tokens == 7


def test_a_recording_of_the_engine_counts_from_when_it_was_due() -> None:
    kept: list[bytes | int] = []
    for at, data in ((20, HEAD), (110, said()), (111, event({}, "stop") + DONE)):
        kept += data, at * MS, UNSTAMPED
    one = Recorded(
        id="x",
        request=ASKED,
        labels={},
        scheduled_ns=2 * MS,
        submitted_ns=-(10**9),
        started_ns=8 * MS,
        connected_ns=9 * MS,
        sent_ns=10 * MS,
        ended_ns=200 * MS,
        end=End.EOF,
        tape=Tape(kept),
    )
    found = met(one)
    assert (found.queue_ms, found.ttft_ms, found.due_ttft_ms) == (8, 100, 108)
    one.scheduled_ns = None
    assert met(one).queue_ms == 1010


def test_the_definitions_are_those_of_timing() -> None:
    answer = stream((100, said()), (120, said()), (121, event({}, "stop")), (122, DONE))
    ours, theirs = met_by(answer), timing(answer)
    assert theirs is not None
    assert (ours.ttft_ms, ours.tpot_ms, ours.e2e_ms) == (
        theirs.ttft_ms,
        theirs.tpot_ms,
        theirs.e2e_ms,
    )


# Objectives


def one(ttft_ms: float | None, *, whole: bool = True) -> Met:
    return Met(whole=whole, why="", ttft_ms=ttft_ms, tpot_ms=10.0)


def test_objectives_are_read_as_people_write_them() -> None:
    assert objectives("p95 ttft < 500ms and tpot <= 0.05 s") == (
        Objective("ttft", 500, 0.95),
        Objective("tpot", 50),
    )
    assert objectives("p99.9 ttft-from-due<1s, e2e < 9s") == (
        Objective("ttft-from-due", 1000, 0.999),
        Objective("e2e", 9000),
    )


@pytest.mark.parametrize(
    "text", ["", "ttft", "ttft < 500", "speed < 5ms", "p0 ttft < 5ms", "ttft > 5ms", "p95 < 5ms"]
)
def test_what_is_no_objective_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no objective|no percentile"):
        objectives(text)


def test_goodput_counts_what_is_whole_and_in_time_out_of_all() -> None:
    mets = [one(100), one(700), one(100, whole=False), one(None)] * 10
    found = goodput(mets, objectives("ttft < 500ms, tpot < 50ms"), seconds=20)
    assert (found.good, found.n, found.per_s) == (10, 40, 0.5)
    assert found.share.value == 0.25
    assert found.share.low < 0.25 < found.share.high


def test_a_goodput_of_few_requests_is_not_sure() -> None:
    """All of ten kept the limit: that nine in ten would is likely, and not more."""
    found = goodput([one(100)] * 10, objectives("ttft < 500ms"), seconds=1)
    assert found.share.interval == pytest.approx((0.025 ** (1 / 10), 1))


def test_one_token_has_no_gap_that_could_be_too_long() -> None:
    """A classifier answers in a token: it is good if that came in time. Many in one chunk are not:
    their gaps are not known."""
    alone = met_by(stream((100, said()), (101, event({}, "stop")), (102, usage(1)), (103, DONE)))
    burst = met_by(stream((100, said()), (101, event({}, "stop")), (102, usage(8)), (103, DONE)))
    cut = Met(whole=False, why="cut", tokens=1)
    for metric in METRICS:
        gap = Objective(metric, 50.0)
        assert gap.held_by(alone) is (metric in {*GAPS, "queue"})
        assert gap.held_by(burst) is (metric in {"queue", "normalised"})
        assert not gap.held_by(cut)
    no_stream = Met(whole=True, why="", e2e_ms=9.0, tokens=1)
    assert Objective("tpot", 50.0).held_by(no_stream)
    assert not Objective("ttft", 50.0).held_by(no_stream), "it is not known"
    slo = objectives("ttft < 200ms, tpot < 50ms")
    assert goodput([alone] * 10, slo, seconds=1).good == 10


def test_a_server_that_breaks_more_is_not_better() -> None:
    slo = objectives("ttft < 500ms")
    served = goodput([one(100)] * 50, slo, seconds=10)
    broken = goodput([one(100), one(None, whole=False)] * 25, slo, seconds=10)
    assert broken.per_s == served.per_s / 2


def test_a_goodput_of_nothing_is_refused() -> None:
    for mets, slo, seconds in (
        ([], "ttft < 1s", 1.0),
        ([one(1)], "ttft < 1s", 0.0),
        ([one(1)], "p95 ttft < 1s", 1.0),
    ):
        with pytest.raises(ValueError, match=r"at least one|give more|all requests together"):
            goodput(mets, objectives(slo), seconds=seconds)


def test_a_figure_carries_its_interval_and_its_count() -> None:
    found = figure([one(float(n)) for n in range(100)] + [one(None)], "ttft", 0.5)
    assert found.n == 100
    assert found.value == pytest.approx(49.5)
    assert found.interval is not None
    with pytest.raises(ValueError, match="at least one"):
        figure([one(None)], "ttft", 0.5)
