from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from harness.engines.emulated import EmulatedEngine
from harness.engines.scheduler.presets import preset
from harness.load.standing import BatchingFleet, command
from harness.registry import load
from harness.stack.stack import new_secrets

ROOT = Path(__file__).parents[3]


def test_the_emulated_vllm_batches_as_the_preset_and_no_other(tmp_path: Path) -> None:
    registry = load(ROOT / "config")
    fleet = BatchingFleet(
        registry=registry,
        tier="emulated",
        seed=1,
        secrets=new_secrets(registry),
        directory=tmp_path,
        preset="rtx-5000",
    )
    engines = asyncio.run(fleet.engines())
    batching = {}
    for name, engine in engines.items():
        assert isinstance(engine, EmulatedEngine)
        batching[registry.provider(name).type] = engine.spec.batching
    vllm = batching.pop("vllm")
    assert vllm is not None
    assert vllm.scheduler == preset("rtx-5000").scheduler
    assert set(batching.values()) == {None}


@pytest.mark.parametrize("name", [None, "h100"])
def test_the_child_is_told_what_to_hold(name: str | None) -> None:
    told = command(Path("c"), seed=7, preset=name, tier="native")
    assert {"--config=c", "--seed=7", "--engines=native"} < set(told)
    assert ("--preset=h100" in told) is (name is not None)
