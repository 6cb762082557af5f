from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from harness.engines.emulator.server import Emulator
from harness.engines.scheduler import SchedulerConfig
from harness.engines.scheduler.steptime import Fitted
from harness.engines.spec import BatchingSpec, EmulatorSpec, ServedModel
from harness.load.calibrate import CalibrateError, Load, Request, Target, discover, measure
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = SchedulerConfig(
    num_blocks=33, block_size=16, max_model_len=256, max_num_seqs=4, enable_prefix_caching=True
)


def against(act: Callable[[LoadEngine, Emulator], None], dialect: str = "vllm") -> None:
    """Run ``act`` in a thread of its own, with an emulated engine in this process."""

    async def main() -> None:
        spec = EmulatorSpec(
            id="engine",
            dialect=dialect,
            models=(ServedModel("m", 256),),
            batching=BatchingSpec(scheduler=LIMITS, step_time=Fitted(constant_s=0.0002)),
        )
        emulator = Emulator(spec)
        emulator.up()
        try:
            with LoadEngine() as client:
                await asyncio.to_thread(act, client, emulator)
        finally:
            emulator.down()

    asyncio.run(main())


def url(emulator: Emulator) -> str:
    return f"http://127.0.0.1:{emulator.port}"


def find(client: LoadEngine, emulator: Emulator) -> Target:
    return discover(client, url(emulator), max_num_seqs=4, max_num_batched_tokens=2048)


def test_the_engine_says_how_large_its_cache_is() -> None:
    def act(client: LoadEngine, emulator: Emulator) -> None:
        target = find(client, emulator)
        assert target.config == LIMITS
        assert target.model == "m"
        assert target.tokens_per_word == pytest.approx(1.0)

    against(act)


def test_a_load_is_measured_as_it_was_answered() -> None:
    load = Load("two", 2, tuple(Request(10 + k, 3 + k) for k in range(6)))

    def act(client: LoadEngine, emulator: Emulator) -> None:
        target = find(client, emulator)
        met = measure(client, target, load, seed="s")
        assert sorted(met.requests, key=lambda each: each.prompt_tokens) == list(load.requests)
        assert met.throughput > 0
        assert 0 < met.ttft_s < met.e2e_s
        assert met.preemptions == 0
        assert met.ttft_deciles_s[4] == pytest.approx(met.ttft_s)
        assert sorted(met.ttft_deciles_s) == list(met.ttft_deciles_s)
        assert max(step.decodes for step in met.steps) == 2
        assert emulator.books.finished["length"] == 6 + 1  # and the probe

    against(act)


def test_a_load_begins_while_what_goes_ahead_of_it_is_computed() -> None:
    load = Load("two", 2, tuple(Request(10 + k, 3 + k) for k in range(6)), ahead=Request(99, 1))

    def act(client: LoadEngine, emulator: Emulator) -> None:
        target = find(client, emulator)
        met = measure(client, target, load, seed="s")
        assert met.ahead == load.ahead
        assert sorted(met.requests, key=lambda each: each.prompt_tokens) == list(load.requests)
        assert emulator.books.finished["length"] == 6 + 1 + 1
        assert [entry.facts["model"] for entry in emulator.records]  # they were all asked

    against(act)


def test_who_waits_is_seen_in_the_gauge_of_the_server() -> None:
    load = Load("crowd", 8, tuple(Request(10, 40) for _ in range(16)))

    def act(client: LoadEngine, emulator: Emulator) -> None:
        target = find(client, emulator)
        met = measure(client, target, load, seed="s")
        assert 0 < met.waiting <= 4  # of eight, four have a place
        alone = measure(client, target, Load("one", 1, load.requests[:2]), seed="t")
        assert alone.waiting == 0

    against(act)


def test_what_is_no_vllm_cannot_be_calibrated() -> None:
    def act(client: LoadEngine, emulator: Emulator) -> None:
        with pytest.raises(CalibrateError) as caught:
            find(client, emulator)
        assert caught.value.id == "calibrate.not-vllm"

    against(act, dialect="openai")


def test_an_engine_that_does_not_answer_is_told_apart() -> None:
    def act(client: LoadEngine, emulator: Emulator) -> None:
        emulator.down()
        with pytest.raises(CalibrateError) as caught:
            find(client, emulator)
        assert caught.value.id == "calibrate.no-answer"

    against(act)


def test_a_broken_answer_ends_the_measurement() -> None:
    def act(client: LoadEngine, emulator: Emulator) -> None:
        target = find(client, emulator)
        emulator.set_faults([{"name": "stream.cut", "settings": {"after": 2}}])
        load = Load("one", 1, (Request(5, 9),))
        with pytest.raises((CalibrateError, ExceptionGroup)) as caught:
            measure(client, target, load, seed="s")
        assert "whole answer" in repr(caught.value) or "whole answer" in str(caught.value)

    against(act)
