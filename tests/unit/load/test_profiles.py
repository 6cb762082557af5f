from __future__ import annotations

import ast
import json
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path

import pytest

from harness.load.goodput import objectives
from harness.load.profiles import (
    PROFILES,
    Ask,
    Plan,
    Setting,
    SettingError,
    Target,
    targets_of,
    words,
)
from harness.load.profiles.exact import drawn
from harness.load.workload.arrival import part
from harness.registry import load
from harness.registry.examples import sources

ROOT = Path(__file__).parents[3]
TARGETS = (
    Target(name="chat", context=4096, providers=("ollama",)),
    Target(name="coder", context=4096, providers=("vllm", "spare"), batches=True),
)
SETTING = Setting(targets=TARGETS)
NAMES = sorted(PROFILES)


def planned(name: str, setting: Setting = SETTING) -> Plan:
    return PROFILES[name].plan(setting)


def written(ask: Ask) -> list[str]:
    """The words of the only message of ``ask``."""
    (message,) = json.loads(ask.request("http://g.test/v1", key=None).body)["messages"]
    return str(message["content"]).split()


def test_all_profiles_are_there_and_say_what_they_are() -> None:
    assert set(NAMES) == {
        *("smoke", "staircase", "capacity_4096", "burst", "ramp", "soak"),
        *("open_loop", "cache", "fallback", "mixed"),
    }
    assert all(len(profile.about) > 20 for profile in PROFILES.values())


def test_every_profile_has_its_file_and_every_file_its_profile() -> None:
    files = {path.stem for path in (ROOT / "loadtests").glob("*.py")}
    assert files == set(NAMES)
    for name in NAMES:
        tree = ast.parse((ROOT / "loadtests" / f"{name}.py").read_text())
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert name in strings


@pytest.mark.parametrize("name", NAMES)
def test_a_request_follows_from_its_number_alone(name: str) -> None:
    one, other = planned(name), planned(name)
    backwards = {number: other.ask(number) for number in reversed(range(40))}
    assert all(one.ask(number) == backwards[number] for number in range(40))
    if name != "fallback":
        elsewhere = planned(name, replace(SETTING, seed=2))
        assert any(elsewhere.ask(number) != one.ask(number) for number in range(40))


@pytest.mark.parametrize("name", NAMES)
def test_requests_are_what_a_gateway_takes(name: str) -> None:
    plan = planned(name)
    objectives(plan.slo)
    for number in range(20):
        ask = plan.ask(number)
        request = ask.request("http://g.test/v1", key="sk-1")
        body = json.loads(request.body)
        assert request.url == "http://g.test/v1/chat/completions"
        assert body["model"] in {target.name for target in TARGETS}
        assert body["max_tokens"] >= 1
        assert ("stream_options" in body) is ask.stream
        prompt = sum(len(message["content"].split()) for message in body["messages"])
        assert prompt == sum(drawn(message).tokens for message in ask.messages)
        assert prompt + ask.max_tokens <= 4096


@pytest.mark.parametrize("name", NAMES)
def test_a_run_lasts_as_long_as_told(name: str) -> None:
    assert planned(name, replace(SETTING, run_time_s=30.0)).seconds == pytest.approx(30.0)
    assert planned(name).seconds >= 15.0


def test_lengths_vary_so_that_streams_do_not_run_in_step() -> None:
    for name in ("smoke", "burst", "ramp", "soak", "mixed", "staircase", "cache"):
        plan = planned(name)
        assert len({plan.ask(number).max_tokens for number in range(40)}) > 5


def test_the_staircase_goes_from_one_past_the_capacity() -> None:
    plan = planned("staircase", replace(SETTING, capacity=33))
    levels = [stage.begin for stage in plan.stages]
    assert levels == sorted(levels)
    assert levels[0] == 1
    assert 33 in levels
    assert levels[-1] > 33
    assert plan.users(0.0) == 1
    assert plan.users(plan.seconds) is None
    assert plan.step(plan.seconds - 1) == len(levels) - 1
    assert {plan.ask(number).model for number in range(9)} == {"coder"}


@pytest.mark.parametrize("heavy", ["prompt", "answer"])
def test_full_requests_are_exactly_full(heavy: str) -> None:
    plan = planned("capacity_4096", replace(SETTING, heavy=heavy))  # type: ignore[arg-type]
    ask = plan.ask(7)
    prompt = len(written(ask))
    assert prompt + ask.max_tokens == 4096
    assert (prompt > ask.max_tokens) is (heavy == "prompt")
    levels = [stage.begin for stage in plan.stages]
    assert {33, 34} <= set(levels)
    assert min(levels) < 33


def test_a_burst_comes_and_goes() -> None:
    plan = planned("burst", replace(SETTING, users=32, run_time_s=40.0))
    levels = [plan.users(at_s + 0.1) for at_s in range(40)]
    assert set(levels) == {2, 32}
    assert sum(a != b for a, b in pairwise(levels)) == 7


def test_arrivals_are_one_schedule_for_all_processes() -> None:
    plan = planned("open_loop", replace(SETTING, rate=20.0, run_time_s=30.0))
    assert plan.arrivals is not None
    whole = list(enumerate(plan.arrivals()))
    parts = [list(part(plan.arrivals(), index=index, of=3)) for index in range(3)]
    assert sorted(chain(*parts)) == whole
    assert 450 < len(whole) < 750


@pytest.mark.parametrize("name", ["azure-sample.csv", "mooncake-sample.jsonl"])
def test_a_trace_is_replayed(name: str) -> None:
    trace = str(ROOT / "loadtests" / "data" / name)
    plan = planned("open_loop", replace(SETTING, trace=trace, faster=100.0))
    assert plan.arrivals is not None
    moments = list(plan.arrivals())
    assert moments == sorted(moments)
    asks = [plan.ask(number) for number in range(len(moments))]
    assert all(len(written(ask)) + ask.max_tokens <= 4096 and ask.messages[0][1] for ask in asks)


def test_equal_blocks_of_a_trace_are_equal_text(tmp_path: Path) -> None:
    lines = [
        {"timestamp": at, "input_length": 1100, "output_length": 5, "hash_ids": [1, 2, at]}
        for at in (10, 20)
    ]
    path = tmp_path / "two.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    plan = planned("open_loop", replace(SETTING, trace=str(path)))
    one, other = (written(plan.ask(number)) for number in range(2))
    assert len(one) == len(other) == 1100
    assert one[:1024] == other[:1024]
    assert one[1024:] != other[1024:]


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file"), ("x", "no Azure"), ("", "no Azure")]
)
def test_a_trace_that_cannot_be_replayed_is_refused(
    tmp_path: Path, content: str | None, why: str
) -> None:
    path = tmp_path / "trace.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingError, match=why):
        planned("open_loop", replace(SETTING, trace=str(path)))


def test_a_trace_without_requests_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n")
    with pytest.raises(SettingError, match="no request"):
        planned("open_loop", replace(SETTING, trace=str(path)))


def test_turns_of_a_conversation_share_their_beginning() -> None:
    plan = planned("cache")
    first, second = plan.ask(0), plan.ask(1)
    assert plan.turns == 4
    assert second.messages[: len(first.messages)] == first.messages
    assert len(second.messages) == len(first.messages) + 2
    assert first.model == second.model
    shared = {plan.ask(4 * talk).messages[0] for talk in range(40)}
    assert len(shared) == 4


def test_a_conversation_that_outgrows_the_model_drops_what_was_said_first() -> None:
    roomy, narrow = (
        planned("cache", Setting(targets=(replace(TARGETS[0], context=limit),)))
        for limit in (4096, 700)
    )
    lengths = [len(narrow.ask(number).messages) for number in range(3, 400, 4)]
    assert min(lengths) < len(roomy.ask(3).messages) == 8
    for number in range(400):
        ask, whole = narrow.ask(number), roomy.ask(number)
        assert ask.messages[0] == whole.messages[0]
        assert ask.messages[1:] == whole.messages[len(whole.messages) - len(ask.messages) + 1 :]
        assert sum(drawn(message).tokens for message in ask.messages) + ask.max_tokens <= 700


def test_an_engine_dies_and_comes_back() -> None:
    plan = planned("fallback", replace(SETTING, run_time_s=30.0))
    assert [(one.at_s, one.provider, one.revive) for one in plan.breaks] == [
        (10.0, "vllm", False),
        (20.0, "vllm", True),
    ]
    assert {plan.ask(number).model for number in range(9)} == {"coder"}


def test_without_a_chain_there_is_nothing_to_fall_back_to() -> None:
    with pytest.raises(SettingError, match="fallback chain"):
        planned("fallback", Setting(targets=TARGETS[:1]))


def test_mixed_loads_mix() -> None:
    plan = planned("mixed")
    kinds = [plan.ask(number).labels["kind"] for number in range(300)]
    assert {kind: kinds.count(kind) > 10 for kind in set(kinds)} == dict.fromkeys(
        ("chat", "long-prompt", "long-answer", "not-streamed"), True
    )
    assert any(not plan.ask(number).stream for number in range(300))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("users", -1),
        ("users", 10**6),
        ("rate", 0.0),
        ("rate", float("nan")),
        ("rate", 1e9),
        ("run_time_s", 0.5),
        ("run_time_s", float("inf")),
        ("capacity", 0),
        ("faster", 0.0),
    ],
)
def test_absurd_numbers_are_refused_with_what_to_give(name: str, value: float) -> None:
    with pytest.raises(SettingError, match="give a number from"):
        replace(SETTING, **{name: value})  # type: ignore[arg-type]


def test_prompts_are_kept_in_one_of_three_ways() -> None:
    with pytest.raises(SettingError, match="give one of words, chat, ids"):
        replace(SETTING, prompts="tokens")  # type: ignore[arg-type]


def test_nobody_to_ask_is_an_error() -> None:
    with pytest.raises(SettingError, match="nobody to ask"):
        Setting(targets=())


def test_targets_are_the_public_names(tmp_path: Path) -> None:
    for name, content in sources("").items():
        (tmp_path / name).write_bytes(content)
    (target,) = targets_of(load(tmp_path))
    assert target.name == "tiny"
    assert target.context > 0


def test_the_claimed_card_stands_behind_a_public_name() -> None:
    targets = targets_of(load(ROOT / "config"))
    batching = Setting(targets=targets).first_batching
    assert batching.batches
    assert batching.context == 4096
    assert any(target.chained for target in targets)


def test_words_are_counted_exactly_and_begin_alike() -> None:
    assert len(words("a", 1000).split()) == 1000
    assert words("a", 100) == " ".join(words("a", 512).split()[:100])
    assert words("a", 10) != words("b", 10)
