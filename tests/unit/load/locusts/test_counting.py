"""Prompts of exact counts, learnt from emulated engines and checked by what they report."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from harness import answer as answers
from harness.engines.emulated import EmulatedEngine
from harness.engines.spec import EmulatorSpec, ServedModel, Settings
from harness.evidence import Verdict
from harness.load.goodput import Met
from harness.load.journal.rows import Row
from harness.load.locusts.ahead import Ahead
from harness.load.locusts.counting import (
    ASKED,
    EXPLAINED,
    Counter,
    Counts,
    learn,
    tokenizer_of,
)
from harness.load.locusts.orders import Orders
from harness.load.profiles import (
    PROFILES,
    Ask,
    Exact,
    Plan,
    Setting,
    SettingError,
    Target,
)
from harness.load.workload.arrival import steady
from harness.load.workload.prompts import Wording
from harness.load.workload.tokenizer import Tokenizer
from harness.wire import blocking
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.workload.prompts import Prompts

TARGET = Target(name="m", context=4096, providers=("vllm",), served_as="served")


def orders(url: str, profile: str = "cache", prompts: Prompts = "chat") -> Orders:
    setting = Setting(targets=(TARGET,), prompts=prompts)
    return Orders(profile=profile, setting=setting, base_url=url, key=None, timeout_s=9.0)


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


def learnt(told: Orders) -> Orders:
    plan = told.plan(PROFILES)
    exact = learn(plan, told, lambda name: tokenizer_of(name, told, {}, None))
    return replace(told, exact=exact)


@pytest.mark.parametrize(
    ("dialect", "prompts", "told"),
    [("vllm", "chat", True), ("vllm", "ids", True), ("llama_cpp_python", "chat", False)],
)
def test_the_server_reports_what_every_turn_promises(
    dialect: str, prompts: Prompts, told: bool
) -> None:
    def ask(url: str) -> None:
        found = learnt(orders(url, prompts=prompts))
        assert found.exact["m"].told is told
        ahead = Ahead(found.plan(PROFILES), Orders.load(found.dump()), LoadEngine().prepare)
        for number in range(6):
            turn = ahead.turn(number)
            got = answers.read(blocking.exchange(turn.request))
            assert got.wholeness
            if told:
                assert got.usage is not None
                assert got.usage["prompt_tokens"] == turn.tokens
            else:
                assert turn.tokens is None, "its stream does not tell: nothing is held against it"

    beside(dialect, ask)


def test_as_words_nobody_is_asked() -> None:
    assert learnt(orders("http://127.0.0.1:1/v1", prompts="words")).exact == {}


@pytest.mark.parametrize(
    ("dialect", "why"), [("openai", "load.tokenizer-missing"), ("ollama", "load.tokenizer-missing")]
)
def test_where_nobody_counts_it_is_said(dialect: str, why: str) -> None:
    def ask(url: str) -> None:
        with pytest.raises(SettingError, match=f"{why}: --prompts chat: .* --tokenizer"):
            learnt(orders(url))

    beside(dialect, ask)


def test_names_that_can_be_counted_are_named_where_one_cannot() -> None:
    def ask(url: str) -> None:
        other = replace(TARGET, name="other")
        both = Setting(targets=(TARGET, other), prompts="chat")
        told = replace(orders(url, "smoke"), setting=both)
        named = {"m": Tokenizer(url, "m"), "other": Tokenizer("http://127.0.0.1:1/v1", "x")}
        with pytest.raises(SettingError, match=r"refused.*--model m asks only"):
            learn(told.plan(PROFILES), told, named.__getitem__)

    beside("vllm", ask)


class Constant(BaseHTTPRequestHandler):
    """Counts every prompt as 40 tokens, or not at all."""

    usage: ClassVar[dict[str, int] | None] = None

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}
        body = json.dumps({"model": "m", "choices": [choice], "usage": self.usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class OneEach(Tokenizer):
    """Says that each word is a token."""

    def ids(self, text: str) -> list[int]:
        return [*range(len(text.split()))]


@pytest.mark.parametrize(
    ("usage", "why"),
    [({"prompt_tokens": 40}, "was one of 40 by the usage"), (None, "reports no usage")],
)
def test_a_server_that_counts_otherwise_is_found_out_before_the_load(
    usage: dict[str, int] | None, why: str
) -> None:
    handler = type("Handler", (Constant,), {"usage": usage})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            told = orders(f"http://127.0.0.1:{server.server_port}/v1", "capacity_4096")
            with pytest.raises(SettingError, match=f"load.tokenizer-mismatch: .*{why}"):
                learn(told.plan(PROFILES), told, lambda _: OneEach("", "m"))
        finally:
            server.shutdown()
            thread.join()


def test_a_profile_that_writes_its_text_itself_is_refused() -> None:
    ask = Ask(model="m", messages=(("user", "hello"),), max_tokens=1)
    plan = Plan(stages=steady(1, 1.0), ask=lambda _: ask)
    with pytest.raises(SettingError, match="draw"):
        learn(plan, orders("http://127.0.0.1:1/v1"), lambda _: Tokenizer("", ""))


def test_who_counts_is_named_for_a_provider_for_all_or_is_the_target() -> None:
    told = replace(orders("http://127.0.0.1:1/v1"), key="sk-gateway")
    here = Tokenizer("http://127.0.0.1:1/v1", "m", "sk-gateway")
    assert tokenizer_of("m", told, {}, None) == here
    there = {"vllm": Counter("http://127.0.0.1:2/v1", "sk-own"), "": Counter("http://h/v1")}
    assert tokenizer_of("m", told, there, None) == Tokenizer(
        "http://127.0.0.1:2/v1", "served", "sk-own"
    )
    assert tokenizer_of("x", told, there, None) == Tokenizer("http://h/v1", "x")


EXACT = {
    "m": Exact(wording=Wording(), added={"user": 1}),
    "n": Exact(wording=Wording(), added={"user": 1}, told=False),
}


def row(asked: int | None, said: int | None, failure: str = "") -> Row:
    labels = {} if asked is None else {ASKED: str(asked)}
    times: dict[str, Any] = {"due_unix_ns": 1, "ended_unix_ns": 2, "number": 0, "load": 1.0}
    met = Met(whole=not failure, why="")
    return Row(
        **times, name="m", worker="a", failure=failure, labels=labels, prompt_tokens=said, met=met
    )


def test_only_whole_answers_whose_usage_must_tell_are_held_to_it() -> None:
    counts = Counts(EXACT)
    for one in (row(7, 7), row(None, 9), row(7, None, "reset")):
        counts.add(one)
    assert (counts.n, counts.amiss, counts.why) == (1, 0, "")
    assert counts.lines == [
        (
            "prompts: 1 of exactly the tokens asked for, by usage; the streams of n do not tell: "
            "counted before the load"
        )
    ]
    (kept,) = counts.evidence("smoke", 1)
    assert kept.verdict is Verdict.PASS
    assert kept.check in EXPLAINED


def test_another_count_makes_the_run_inconclusive() -> None:
    counts = Counts(EXACT)
    for one in (row(7, 7), row(7, 9), row(7, None)):
        counts.add(one)
    assert counts.why == (
        "2 of 3 prompts are of another count by usage: e.g. 9 for 7 of m, no count for 7 of m"
    )
    (kept,) = counts.evidence("smoke", 1)
    assert (kept.verdict, kept.value, kept.n) == (Verdict.INCONCLUSIVE, 2, 3)
    assert counts.lines == [f"INCONCLUSIVE: {counts.why}"]


def test_of_words_nothing_is_said() -> None:
    counts = Counts({})
    counts.add(row(None, 3))
    assert counts.lines == []
    assert counts.evidence("smoke", 1) == []
