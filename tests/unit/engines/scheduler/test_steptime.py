from __future__ import annotations

import json
from typing import Any

import pytest

from harness.engines.scheduler import Scheduler, SchedulerConfig, SchedulerError, Sequence
from harness.engines.scheduler.presets import (
    GIB,
    PRESETS,
    QUADRO_RTX_5000,
    QWEN2_5_7B_AWQ,
    preset,
)
from harness.engines.scheduler.steptime import (
    Fitted,
    Geometry,
    Hardware,
    Roofline,
    kv_blocks,
    step_time_from_json,
)

CARD = Hardware(name="card", memory_bytes=10_000, bandwidth=1000.0, flops=1e6, overhead_s=0.5)
MODEL = Geometry(
    name="model",
    weight_bytes=2000,
    read_bytes=2000,
    parameters=1000,
    layers=2,
    heads=4,
    kv_heads=1,
    head_dim=8,
)


def plan(*sequences: tuple[int, int]) -> Any:
    """The second step over (prompt, answer) sequences, after all prompts but the last."""
    scheduler = Scheduler(SchedulerConfig(num_blocks=1000, max_model_len=4096))
    for prompt, length in sequences:
        scheduler.add(Sequence(prompt, length))
    return scheduler.step()


def test_the_cache_of_a_16_gb_card_with_a_7b_model_in_4_bit() -> None:
    assert QWEN2_5_7B_AWQ.kv_bytes_per_token == 57_344
    scheduler = preset("rtx-5000").scheduler
    assert (scheduler.num_blocks, scheduler.cache_tokens) == (8609, 137_744)
    assert scheduler.capacity_line.endswith("33.63x")
    half_a_block = 57_344 * 8 / GIB
    for reserved_gib, blocks in ((1.04 + half_a_block * 2, 8608), (1.04, 8609)):
        reserved = int(reserved_gib * GIB)
        found = kv_blocks(
            QUADRO_RTX_5000, QWEN2_5_7B_AWQ, utilisation=0.85, reserved_bytes=reserved
        )
        assert found == blocks


def test_a_model_too_large_for_its_card_is_told_so() -> None:
    with pytest.raises(SchedulerError, match="leaves no memory"):
        kv_blocks(CARD, MODEL, utilisation=0.1)


def test_decoding_is_bound_by_memory_and_a_long_prompt_by_arithmetic() -> None:
    roofline = Roofline(CARD, MODEL)
    decode = plan((1, 5))
    kv = MODEL.kv_bytes_per_token
    assert roofline.seconds(decode) == pytest.approx(0.5 + 2000 / 1000 + kv / 1000)
    prefill = plan((1500, 5))
    pairs = 1500 * 1501 / 2
    assert roofline.seconds(prefill) == pytest.approx(
        0.5 + 2 * 1000 * 1500 / 1e6 + max(1500 * kv / 1000, pairs * MODEL.flops_per_pair / 1e6)
    )


def test_less_of_the_hardware_takes_longer() -> None:
    slower = Hardware(
        name="card",
        memory_bytes=1,
        bandwidth=1000.0,
        flops=1e6,
        bandwidth_efficiency=0.5,
        flops_efficiency=0.5,
    )
    faster = Hardware(name="card", memory_bytes=1, bandwidth=1000.0, flops=1e6)
    for each in (plan((1, 5)), plan((900, 5))):
        assert Roofline(slower, MODEL).seconds(each) == pytest.approx(
            2 * Roofline(faster, MODEL).seconds(each)
        )


def test_a_fitted_step_is_the_sum_of_its_prices() -> None:
    fitted = Fitted(constant_s=1.0, prefill_token_s=0.1, decode_s=0.01, context_token_s=1e-4)
    assert fitted.seconds(plan((10, 5), (1, 5))) == pytest.approx(1.0 + 10 * 0.1 + 0.01)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_step_time_survives_json(name: str) -> None:
    whole = PRESETS[name].step_time
    assert step_time_from_json(json.loads(json.dumps(whole.to_json()))) == whole


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"kind": "oracle"}, "'roofline' and 'fitted'"),
        ({}, "no step time of kind None"),
        ({"kind": "fitted"}, "incomplete"),
        ({"kind": "roofline", "hardware": {}}, "incomplete"),
    ],
)
def test_what_is_no_step_time_is_refused(data: dict[str, Any], said: str) -> None:
    with pytest.raises(SchedulerError, match=said):
        step_time_from_json(data)


def test_a_preset_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(SchedulerError, match="rtx-5000, h100, cpu-tiny"):
        preset("abacus")
