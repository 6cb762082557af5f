from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contract import rewrite
from harness.contract.check import checks, find
from harness.contract.lane import Observations, judge, monitor, observe
from harness.contract.scenarios import SCENARIOS
from harness.evidence.record import Verdict
from harness.wire.exchange import End, Exchange, Read, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

URL, MODEL, KEY = "http://reference.test/v1", "reference-model", "reference-key"


class Server:
    """Answers each scenario from the reference, and notes what was in flight together."""

    def __init__(self, good: Observations) -> None:
        self.good = good
        self.asked: list[str] = []
        self.together: list[frozenset[str]] = []
        self._flying: set[str] = set()

    async def send(self, _: Request, labels: Mapping[str, str]) -> Exchange:
        scenario = labels["scenario"]
        self.asked.append(scenario)
        self._flying.add(scenario)
        self.together.append(frozenset(self._flying))
        await asyncio.sleep(0)
        self._flying.remove(scenario)
        return self.good.seen[scenario].exchange


def only(observations: Observations, check_id: str) -> tuple[Verdict, str]:
    (result,) = judge(observations, [find(check_id)])
    return result.verdict, result.reason


def broken(good: Observations, scenario: str, status: int) -> Observations:
    exchange = good.seen[scenario].exchange
    edited = rewrite.body(exchange, lambda _: b"{}", status=status, media="application/json")
    return good.replaced(scenario, edited)


def test_every_scenario_is_sent_once(good: Observations) -> None:
    server = Server(good)
    seen = asyncio.run(observe(server.send, URL, MODEL, KEY))
    assert sorted(server.asked) == sorted(s.id for s in SCENARIOS)
    assert seen.seen.keys() == {s.id for s in SCENARIOS}


def test_what_generates_tokens_is_sent_alone_and_the_rest_at_once(good: Observations) -> None:
    server = Server(good)
    asyncio.run(observe(server.send, URL, MODEL, KEY))
    generating = {s.id for s in SCENARIOS if s.generates}
    assert all(len(flying) == 1 for flying in server.together if flying & generating)
    assert max(len(flying) for flying in server.together) == len(SCENARIOS) - len(generating)


def test_without_a_key_the_scenarios_about_keys_are_left_out(good: Observations) -> None:
    server = Server(good)
    seen = asyncio.run(observe(server.send, URL, MODEL, ""))
    assert not {"no_key", "wrong_key"} & seen.seen.keys()
    assert "error.auth.401" not in {r.check.id for r in judge(seen)}


def test_the_reference_passes_every_check(good: Observations) -> None:
    results = judge(good)
    assert [(r.check.id, r.reason) for r in results if r.verdict is not Verdict.PASS] == []
    assert len(results) == len(checks())
    assert all(r.exchanges for r in results)


def test_a_failure_says_what_and_where(good: Observations) -> None:
    lost = rewrite.events(good.seen["stream"].exchange, lambda written: written[:-1])
    (result,) = judge(good.replaced("stream", lost), [find("stream.done.last")])
    assert result.verdict is Verdict.FAIL
    assert result.reason == "no [DONE] (stream: end of stream)"
    assert result.exchanges == ("golden-stream", "golden-stream_usage")


def test_an_error_that_is_no_object_fails_once(good: Observations) -> None:
    exchange = rewrite.document(good.seen["no_key"].exchange, lambda _: {"error": "Unauthorized"})
    results = judge(good.replaced("no_key", exchange))
    failed = {r.check.id: r.reason for r in results if r.verdict is Verdict.FAIL}
    assert set(failed) == {"error.auth.401", "error.envelope.object"}
    assert failed["error.auth.401"] == "error is 'Unauthorized', not an object (no_key: body)"


def test_a_long_failure_is_told_in_part_and_kept_whole(good: Observations) -> None:
    exchange = rewrite.chunks(
        good.seen["stream"].exchange,
        lambda chunks: [
            c | {"choices": [x | {"finish_reason": "end"} for x in c["choices"]]} for c in chunks
        ],
    )
    (result,) = judge(good.replaced("stream", exchange), [find("chat.finish-reason.enum")])
    assert len(result.violations) == 8
    assert result.reason.endswith("; and 5 more")


def test_a_stream_that_was_never_sent_is_not_run_and_says_why(good: Observations) -> None:
    seen = broken(broken(good, "stream", 503), "stream_usage", 503)
    verdict, reason = only(seen, "stream.done.last")
    assert verdict is Verdict.NOT_RUN
    assert "stream: status 503, application/json" in reason
    assert only(seen, "chat.whole")[0] is Verdict.FAIL


def test_a_comparison_with_one_side_missing_is_not_run(good: Observations) -> None:
    assert only(broken(good, "unary", 503), "stream.equals-unary")[0] is Verdict.NOT_RUN


def test_a_dead_server_fails_once_and_passes_nothing(good: Observations) -> None:
    dead = Observations.of(
        {
            name: replace(answer.exchange, reads=(), end=End.REFUSED)
            for name, answer in good.seen.items()
        }
    )
    verdicts = {r.check.id: r.verdict for r in judge(dead)}
    assert verdicts.pop("chat.whole") is Verdict.FAIL
    assert set(verdicts.values()) == {Verdict.NOT_RUN}


words = st.sampled_from(["stop", "assistant", "\ud83d", "\ufffd", "é", "reference-model", ""])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 10**20) | words,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("choices", "delta", "message", "content", "role", "index", "error", "usage"),
                    *("finish_reason", "id", "created", "model", "data", "object", "code", "type"),
                    *("prompt_tokens", "completion_tokens", "total_tokens", "\udc00"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=10,
)
replies = st.builds(
    lambda status, media, body: (
        f"HTTP/1.1 {status} -\r\ncontent-type: {media}\r\n\r\n".encode() + body
    ),
    st.sampled_from([200, 400, 401, 404, 500]),
    st.sampled_from(["application/json", "text/event-stream", "x"]),
    st.binary(max_size=40)
    | values.map(lambda v: json.dumps(v).encode())
    | st.lists(values, max_size=4).map(
        lambda vs: b"".join(b"data: " + json.dumps(v).encode() + b"\n\n" for v in vs)
    ),
)


@settings(deadline=None)
@given(replies | st.binary(max_size=20), replies)
def test_judging_is_total_over_any_bytes_and_can_be_written_down(one: bytes, other: bytes) -> None:
    seen = Observations.of(
        {
            s.id: Exchange(
                id=s.id,
                request=s.build(URL, MODEL, KEY),
                started_ns=0,
                ended_ns=9,
                reads=(Read(5, raw),) if (raw := one if s.id == "unary" else other) else (),
                end=End.EOF,
            )
            for s in SCENARIOS
        }
    )
    results = judge(seen, checks(lane=None))
    assert len(results) == len(checks(lane=None))
    assert "".join(r.reason for r in results).encode("utf-8")
    assert all(r.reason for r in results if r.verdict is not Verdict.PASS)


def test_the_same_checks_judge_any_recorded_traffic(good: Observations) -> None:
    lost = rewrite.events(good.seen["stream"].exchange, lambda written: written[:-1])
    found = monitor([good.seen["stream"].exchange, lost, good.seen["unknown_model"].exchange])
    judged, violations = found["stream.done.last"]
    assert judged == 2
    assert [str(v) for v in violations] == ["no [DONE] (golden-stream: end of stream)"]
    assert found["error.envelope.object"] == (1, [])
    assert "usage.present" not in found
    assert not [c for c in found if find(c).on]


@pytest.mark.parametrize("scenario", ["unary", "stream"])
def test_an_error_inside_a_200_is_one_failure(good: Observations, scenario: str) -> None:
    seen = good.replaced(
        scenario,
        rewrite.body(
            good.seen[scenario].exchange,
            lambda _: (
                b'data: {"error": {"message": "busy"}}\n\n'
                if scenario == "stream"
                else b'{"error": {"message": "busy"}}'
            ),
        ),
    )
    failed = [r.check.id for r in judge(seen) if r.verdict is Verdict.FAIL]
    assert failed == ["chat.whole"]
