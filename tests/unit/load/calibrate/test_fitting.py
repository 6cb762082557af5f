from __future__ import annotations

from dataclasses import replace
from statistics import median

import pytest

from harness.engines.scheduler import SchedulerConfig
from harness.engines.scheduler.steptime import Fitted
from harness.load.calibrate import (
    Calibration,
    Comparison,
    Load,
    Measured,
    Request,
    fit,
    judge,
    plan_loads,
    predict,
)
from harness.load.calibrate.calibration import JUDGED
from harness.load.calibrate.loads import AHEAD_S, words
from harness.load.calibrate.measuring import Target
from harness.load.calibrate.steps import Step

CONFIG = SchedulerConfig(
    num_blocks=100, block_size=32, max_model_len=512, max_num_seqs=16, async_scheduling=True
)
TRUE = Fitted(
    constant_s=0.004,
    prefill_token_s=5e-5,
    decode_s=4e-4,
    context_token_s=2e-7,
    front_s=0.006,
    front_token_s=1e-4,
)


def met(load: Load, prices: Fitted = TRUE, config: SchedulerConfig = CONFIG) -> Measured:
    """What an engine with these prices would have answered, its steps seen from outside."""
    alike = [0.0] * len(load.requests)
    asked = Measured.of(
        load.requests,
        seconds=1,
        ttft_s=alike,
        itl_s=alike,
        e2e_s=alike,
        waiting=0,
        preemptions=0,
        ahead=load.ahead,
    )
    steps = tuple(
        Step(
            prices.constant_s
            + prices.prefill_token_s * prompt
            + prices.decode_s * wide
            + prices.context_token_s * context,
            prompt,
            wide,
            context,
        )
        for wide in range(1, load.concurrency + 1)
        for prompt, context in ((0, 100), (60, 100), (120, 900))
    )
    return replace(predict(config, prices, load, asked), steps=steps)


LOADS = plan_loads(CONFIG, seed=3, concurrencies=(1, 4, 16))


def test_loads_are_there_to_fit_and_to_judge_and_one_is_past_the_capacity() -> None:
    names = [load.name for load in LOADS]
    assert names[:2] == ["1 at a time", "1 at a time, held out"]
    assert names[-2:] == ["past capacity", "past capacity, held out"]
    assert met(LOADS[-2]).preemptions + met(LOADS[-2]).waiting > 0
    assert [load.name for load in plan_loads(replace(CONFIG, num_blocks=9000), seed=3)][-1] == (
        "64 at a time, held out"
    )
    assert plan_loads(CONFIG, seed=3) == plan_loads(CONFIG, seed=3) != plan_loads(CONFIG, seed=4)


def test_a_rush_that_one_step_cannot_hold_begins_behind_a_full_step() -> None:
    config = replace(CONFIG, num_blocks=4000, max_model_len=4096, max_num_batched_tokens=2048)
    by_name = {load.name: load for load in plan_loads(config, seed=0)}
    assert by_name["4 at a time"].ahead is None
    assert by_name["64 at a time"].ahead == Request(2048, 1)
    assert by_name["64 at a time"].ahead not in by_name["64 at a time"].requests
    for load in by_name.values():
        first = sum(each.prompt_tokens for each in load.requests[: load.concurrency])
        assert (load.ahead is None) == (first <= config.max_num_batched_tokens)
    short = replace(config, max_num_batched_tokens=8192, max_model_len=1024)
    (wide,) = (load for load in plan_loads(short, seed=0) if load.name == "64 at a time")
    assert wide.ahead in {None, Request(1023, 1)}


def test_what_goes_ahead_of_a_load_is_none_of_it() -> None:
    config = replace(
        CONFIG,
        num_blocks=400,
        max_model_len=1024,
        max_num_seqs=64,
        max_num_batched_tokens=512,
        async_scheduling=False,
    )
    requests = tuple(Request(64, 1) for _ in range(16))
    prices = Fitted(constant_s=0.0, prefill_token_s=1e-3, decode_s=1e-6)
    calm = met(Load("16", 16, requests), prices, config)
    rush = met(Load("16", 16, requests, ahead=Request(512, 1)), prices, config)
    assert len(rush.requests) == len(calm.requests) == 16
    assert rush.ahead == Request(512, 1)
    # Eight find a place in the step after it, and eight wait until that has ended.
    left_s = 0.512 - AHEAD_S
    assert rush.throughput == pytest.approx(16 / (left_s + 2 * 0.512), rel=0.01)
    assert rush.waiting == pytest.approx(8 * 0.512 / (left_s + 2 * 0.512), rel=0.01)
    assert max(rush.ttft_deciles_s) == pytest.approx(left_s + 2 * 0.512, rel=0.01)


def test_no_two_prompts_begin_alike() -> None:
    assert words(5, "a") == words(5, "a")
    assert words(5, "a").split()[0] != words(5, "b").split()[0]
    assert len(words(7, "c").split()) == 7


def test_it_finds_prices_that_predict_what_was_not_fitted() -> None:
    config, found = fit(
        [replace(CONFIG, async_scheduling=False), CONFIG],
        [(load, met(load), {}) for load in LOADS if not load.held_out],
        rounds=40,
    )
    assert config == CONFIG  # the engine did plan ahead
    errors = [
        abs(getattr(predict(CONFIG, found, load, met(load)), figure) / real - 1)
        for load in LOADS
        if load.held_out
        for figure in JUDGED
        if (real := getattr(met(load), figure))
    ]
    assert median(errors) < 0.05
    assert max(errors) < 0.2


def test_prices_of_another_engine_predict_badly_and_are_said_to() -> None:
    wrong = replace(TRUE, constant_s=0.02, decode_s=2e-3)
    comparisons = tuple(Comparison(load, met(load), met(load, wrong), noise={}) for load in LOADS)
    calibration = Calibration("http://engine", "m", CONFIG, wrong, comparisons, 3, 1)
    assert calibration.error > 0.5
    right = replace(
        calibration,
        comparisons=tuple(Comparison(load, met(load), met(load), noise={}) for load in LOADS),
    )
    assert right.error == 0
    document = right.to_json()
    assert document["batching"]["step_time"]["kind"] == "fitted"
    assert document["held_out_error"]["all"] == 0
    assert document["loads"][0]["error"]["preemptions"] is None  # there were none to predict


def test_the_same_measurements_give_the_same_prices() -> None:
    seen: list[tuple[Load, Measured, dict[str, float]]] = [
        (load, met(load), {}) for load in LOADS[:3:2]
    ]
    assert fit([CONFIG], seen, rounds=20) == fit([CONFIG], seen, rounds=20)


def test_a_median_between_two_heaps_does_not_lead_astray() -> None:
    config = replace(CONFIG, async_scheduling=False)
    target = Target(url="http://engine", model="m", config=config)
    loads = LOADS[:6]
    runs = {load.name: [met(load, config=config)] for load in loads}
    found = judge(target, loads, runs)
    assert not found.config.async_scheduling
    assert found.error < 0.05
    assert (found.median_error("ttft_s") or 0.0) < 0.05
    assert found.repetitions == 1
