from __future__ import annotations

import json

import pytest

from harness.engines.scheduler import SchedulerError
from harness.engines.spec import BatchingSpec, EmulatorSpec, ServedModel, SpecError


def spec(context_length: int, preset: str = "rtx-5000") -> EmulatorSpec:
    return EmulatorSpec(
        id="a",
        dialect="vllm",
        models=(ServedModel("m", context_length),),
        batching=BatchingSpec.preset(preset),
        warm_up_ms=5.0,
    )


@pytest.mark.parametrize("preset", ["rtx-5000", "h100", "cpu-tiny"])
def test_it_survives_the_pipe(preset: str) -> None:
    whole = spec(4096, preset)
    assert EmulatorSpec.from_json(json.loads(json.dumps(whole.to_json()))) == whole


def test_a_context_longer_than_the_scheduler_takes_is_refused() -> None:
    with pytest.raises(SpecError, match="max_model_len 4096 is less than the context of 4097"):
        spec(4097)


def test_a_warm_up_takes_no_negative_time() -> None:
    with pytest.raises(SpecError, match="warm_up_ms"):
        EmulatorSpec(id="a", dialect="vllm", models=(ServedModel("m"),), warm_up_ms=-1)


def test_what_is_no_batching_is_refused_with_what_is_wrong() -> None:
    for data in (
        {"scheduler": {"num_blocks": 1}, "step_time": {"kind": "fitted", "constant_s": 1}},
        {"scheduler": {"num_blocks": 999}, "step_time": {"kind": "oracle"}},
        {"scheduler": {"num_blocks": 999}},
    ):
        with pytest.raises(SpecError, match="batching: "):
            BatchingSpec.from_json(data)
    with pytest.raises(SpecError, match="no such setting"):
        BatchingSpec.from_json({"speed": 1})
    with pytest.raises(SchedulerError):
        BatchingSpec.preset("abacus")
