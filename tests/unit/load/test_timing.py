from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING

import pytest

from harness import answer as answers
from harness.evidence import Verdict
from harness.load.latency import judge, judge_overhead, until_decided
from harness.load.timing import timing
from harness.wire import End, Exchange, Read, Request

if TYPE_CHECKING:
    from harness.answer import Answer

MS = 1_000_000
ROLE: dict[str, object] = {"role": "assistant", "content": ""}


def event(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    chunk = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def usage(tokens: int) -> bytes:
    counts = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
    return event({}, usage=counts).replace(
        b'"choices": [{"index": 0, "delta": {}, "finish_reason": null}]', b'"choices": []'
    )


DONE = b"data: [DONE]\n\n"


def stream(*timed: tuple[int, bytes]) -> Answer:
    """A streamed answer whose reads came at these milliseconds after the request was sent."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    return answers.read(
        Exchange(
            id="x",
            request=Request(
                method="POST", url="http://g.test/v1/chat/completions", body=b'{"stream": true}'
            ),
            started_ns=0,
            connected_ns=1 * MS,
            sent_ns=2 * MS,
            ended_ns=1000 * MS,
            reads=(Read(3 * MS, head), *(Read((2 + at) * MS, data) for at, data in timed)),
            end=End.EOF,
        )
    )


def test_a_role_chunk_is_no_token_and_the_finish_chunk_no_gap() -> None:
    found = timing(
        stream(
            (5, event(ROLE)),
            (100, event({"content": "a"})),
            (120, event({"content": "b"})),
            (150, event({"content": "c"})),
            (150, event({}, "stop")),
            (151, DONE),
        )
    )
    assert found is not None
    assert found.ttft_ms == 100
    assert found.itl_ms == (20, 30)
    assert found.tpot_ms == 25
    assert found.e2e_ms == 151


def test_reasoning_counts_as_the_first_token() -> None:
    found = timing(
        stream(
            (40, event({"reasoning_content": "hm"})),
            (90, event({"content": "a"})),
            (91, event({}, "stop")),
            (92, DONE),
        )
    )
    assert found is not None
    assert found.ttft_ms == 40


def test_several_tokens_a_chunk_are_counted_from_usage() -> None:
    found = timing(
        stream(
            (100, event({"content": "a b c d"})),
            (180, event({"content": " e f g h"})),
            (181, event({}, "stop")),
            (182, usage(8)),
            (183, DONE),
        )
    )
    assert found is not None
    assert found.tokens == 8
    assert found.itl_ms == (80,)
    assert found.tpot_ms == 20, "four tokens came with the first chunk"


def test_chunks_of_one_read_are_marked_merged() -> None:
    found = timing(
        stream(
            (100, event({"content": "a"}) + event({"content": "b"})),
            (101, event({}, "stop") + DONE),
        )
    )
    assert found is not None
    assert found.merged > 0


@pytest.mark.parametrize(
    "broken",
    [
        stream((10, event({"content": "a"})), (20, event({}, "stop"))),
        stream((10, event({"content": "a"})), (20, DONE)),
        stream((10, event({}, "stop")), (20, DONE)),
        stream((10, event({"content": "a"})), (12, b'data: {"error": {"message": "x"}}\n\n')),
    ],
    ids=["no done", "no finish", "no token", "error frame"],
)
def test_an_answer_that_is_not_whole_has_no_time(broken: Answer) -> None:
    assert timing(broken) is None


def whole(ttft: int) -> Answer:
    return stream(
        (ttft, event({"content": "a"})),
        (ttft + 10, event({"content": "b"})),
        (ttft + 10, event({}, "stop")),
        (ttft + 11, DONE),
    )


def verdicts(answers_: list[Answer], limit: float | None) -> dict[str, Verdict]:
    return {e.check: e.verdict for e in judge("s", answers_, lambda *_: limit)}


def test_figures_under_their_limits_pass_and_carry_samples_unit_and_interval() -> None:
    found = judge("s", [whole(20 + 37 * at % 80) for at in range(80)], lambda *_: 1000)
    assert {e.verdict for e in found} == {Verdict.PASS}
    for evidence in found:
        assert (evidence.n, evidence.unit) == (80, "ms")
        assert evidence.interval is not None


def test_answers_that_stalled_together_count_as_one_stall() -> None:
    """Five of 240, apart, are few enough for a p95; in one stall they may be the first of many."""
    apart = [whole(400 if at % 48 == 0 else 50) for at in range(240)]
    together = [whole(400 if at < 5 else 50) for at in range(240)]
    check = "latency.ttft.p95"
    assert verdicts(apart, 390.0)[check] is Verdict.PASS
    assert verdicts(together, 390.0)[check] is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("stalls", "asked", "expected"),
    [
        ((), 1, Verdict.PASS),  # decided: nothing more is asked
        ((0,), 2, Verdict.PASS),  # the one stall of the first half was the only one
        ((0, 1), 2, Verdict.INCONCLUSIVE),
    ],
)
def test_a_stall_is_asked_after(stalls: tuple[int, ...], asked: int, expected: Verdict) -> None:
    halves = 0

    async def ask(count: int) -> list[Answer]:
        nonlocal halves
        stalled = 4 if halves in stalls else 0
        halves += 1
        return (
            [whole(90)] * (count // 2)
            + [whole(900)] * stalled
            + [whole(90)] * (count // 2 - stalled)
        )

    judged = partial(judge, "gateway:m", bound=lambda *_: 200.0)
    got, evidence = asyncio.run(until_decided(ask, judged, 240))
    assert (halves, len(got)) == (asked, asked * 240)
    found = {each.check: each.verdict for each in evidence}
    assert found["latency.ttft.p95"] is expected


def test_a_queue_that_keeps_the_limit_all_along_passes_though_its_quantile_has_no_bound() -> None:
    found = judge("s", [whole(ttft) for ttft in range(20, 120)], lambda *_: 1000)
    by_check = {evidence.check: evidence for evidence in found}
    assert by_check["latency.ttft.p95"].verdict is Verdict.PASS
    assert by_check["latency.ttft.p95"].interval is None
    few = {one.check: one for one in judge("s", [whole(50)] * 40, lambda *_: 1000)}
    assert few["latency.ttft.p95"].verdict is Verdict.INCONCLUSIVE


def test_figures_above_their_limits_fail() -> None:
    assert set(verdicts([whole(50)] * 80, 5.0).values()) == {Verdict.FAIL}


def test_a_broken_stream_among_good_ones_makes_a_pass_inconclusive() -> None:
    cut = stream((10, event({"content": "a"})))
    assert set(verdicts([*[whole(50)] * 80, cut], 1000).values()) == {Verdict.INCONCLUSIVE}


def test_no_limit_and_no_samples_are_said() -> None:
    assert set(verdicts([whole(50)] * 80, None).values()) == {Verdict.INCONCLUSIVE}
    assert set(verdicts([], 1000).values()) == {Verdict.NOT_RUN}


def test_overhead_with_lost_samples_does_not_pass() -> None:
    assert judge_overhead("s", [5.0] * 20, 0, lambda *_: 100, ()).verdict is Verdict.PASS
    assert judge_overhead("s", [5.0] * 20, 1, lambda *_: 100, ()).verdict is Verdict.INCONCLUSIVE
