"""Requests of profiles in exactly as many tokens as they draw, on templates that add to each."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from harness.load.profiles import PROFILES, Ask, Exact, Setting, SettingError, Target, draw
from harness.load.profiles.exact import drawn, shape, turns
from harness.load.workload.prompts import Wording

if TYPE_CHECKING:
    from harness.load.profiles import Plan

WORDING = Wording(words=tuple(f"w{n}" for n in range(32)), opener="The", ids=tuple(range(300, 400)))
BASE, EACH = 9, {"system": 4, "user": 5, "assistant": 6}
"""What a template adds: once, and to each message."""
TARGETS = (
    Target(name="chat", context=4096, providers=("ollama",)),
    Target(name="coder", context=4096, providers=("vllm", "spare"), batches=True),
)
NAMES = sorted(PROFILES)


def planned(name: str) -> Plan:
    return PROFILES[name].plan(Setting(targets=TARGETS))


def cost(roles: str) -> int:
    return BASE + sum(EACH[role] for role in roles.split())


def exact(*asks: Ask) -> Exact:
    """As a server with that template counts, where a message's words are a token each."""
    roles = {shape(ask.messages[:end]) for ask in asks for end in turns(ask.messages)}
    added = {each: cost(each) + len(each.split()) for each in roles}
    return Exact(wording=WORDING, added=added)


def counted(ask: Ask, how: Exact) -> int:
    """What the server would say."""
    body = json.loads(ask.request("http://g.test/v1", key=None, exact=how).body)
    messages = body["messages"]
    words = sum(len(message["content"].split()) for message in messages)
    return words + cost(" ".join(message["role"] for message in messages))


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_is_as_long_as_its_profile_draws_it_template_included(name: str) -> None:
    plan = planned(name)
    asks = [plan.ask(number) for number in range(60)]
    how = exact(*asks)
    for ask in asks:
        assert counted(ask, how) == how.tokens(ask)
        planned_tokens = sum(drawn(message).tokens for message in ask.messages)
        assert how.tokens(ask) >= planned_tokens
        if planned_tokens > 150 and len(ask.messages) == 1:
            assert how.tokens(ask) == planned_tokens
    assert len({json.dumps(how.texts(ask)) for ask in asks}) == len(asks)


def test_a_full_request_fills_the_context_with_its_template() -> None:
    ask = planned("capacity_4096").ask(3)
    how = exact(ask)
    assert counted(ask, how) + ask.max_tokens == 4096


@pytest.mark.parametrize(("tokens", "own"), [(3, 3), (8, 8), (16, 8), (23, 8), (24, 9)])
def test_what_is_hardly_longer_than_its_template_keeps_words_of_its_own(
    tokens: int, own: int
) -> None:
    ask = Ask(model="chat", messages=(("user", draw("k", tokens)),), max_tokens=1)
    how = exact(ask)
    assert how.texts(ask) == ["The" + WORDING.more(own, "k")]
    assert how.tokens(ask) == counted(ask, how) == BASE + EACH["user"] + 1 + own


def test_turns_of_a_conversation_still_begin_alike_and_add_what_they_draw() -> None:
    plan = planned("cache")
    asks = [plan.ask(number) for number in range(4)]
    how = exact(*asks)
    for before, after in pairwise(asks):
        texts = how.texts(after)
        assert texts[: len(before.messages)] == how.texts(before)
        fresh = sum(drawn(message).tokens for message in after.messages[-2:])
        added = how.tokens(after) - how.tokens(before)
        assert added == max(fresh, EACH["user"] + EACH["assistant"] + 2 + 8)
    others = [plan.ask(4 * talk) for talk in range(40)]
    assert len({how.texts(ask)[0] for ask in others}) == 4, "as many beginnings as were drawn"


def test_equal_blocks_of_a_trace_stay_equal() -> None:
    plan = PROFILES["open_loop"].plan(
        Setting(targets=TARGETS, trace="loadtests/data/mooncake-sample.jsonl", faster=100.0)
    )
    asks = [plan.ask(number) for number in range(20)]
    how = exact(*asks)
    for ask in asks:
        (text,) = how.texts(ask)
        first, length = drawn(ask.messages[0]).pieces[0]
        assert text.startswith("The" + WORDING.more(length - how.added["user"], first))


def test_ids_are_as_many_as_are_drawn_and_go_to_completions() -> None:
    how = Exact(wording=WORDING)
    for name in NAMES:
        ask = planned(name).ask(5)
        request = ask.request("http://g.test/v1", key="sk-1", exact=how)
        body = json.loads(request.body)
        assert request.url == "http://g.test/v1/completions"
        assert ("authorization", "Bearer sk-1") in request.headers
        assert len(body["prompt"]) == how.tokens(ask)
        assert how.tokens(ask) == sum(drawn(message).tokens for message in ask.messages)
        assert body["stream"] is ask.stream


def test_text_that_a_profile_wrote_itself_has_no_count() -> None:
    ask = Ask(model="chat", messages=(("user", "hello"),), max_tokens=1)
    assert (
        json.loads(ask.request("http://g/v1", key=None).body)["messages"][0]["content"] == "hello"
    )
    for how in (Exact(wording=WORDING), Exact(wording=WORDING, added={"user": 3})):
        with pytest.raises(SettingError, match="draw"):
            ask.request("http://g/v1", key=None, exact=how)


def test_a_shape_nobody_has_counted_is_an_error() -> None:
    ask = Ask(
        model="chat", messages=(("system", draw("a", 9)), ("user", draw("b", 9))), max_tokens=1
    )
    how = exact(replace(ask, messages=ask.messages[1:]))
    with pytest.raises(SettingError, match="'system user' only now"):
        how.tokens(ask)


def test_it_arrives_as_it_was_sent() -> None:
    how = replace(exact(planned("cache").ask(3)), told=False)
    assert Exact.load(json.loads(json.dumps(asdict(how)))) == how
