from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from harness.engines.scheduler import SchedulerConfig
from harness.engines.scheduler.steptime import Fitted
from harness.engines.spec import BatchingSpec, ServedModel

LIMITS = SchedulerConfig(
    num_blocks=33, block_size=4, max_model_len=128, max_num_seqs=2, max_num_batched_tokens=32
)
QUICK = Fitted(constant_s=0.0005)
MODELS = (ServedModel("small", 64), ServedModel("large", 128))
FOREVER = Fitted(constant_s=1e6)
"""No step ever ends."""


def batched(
    lab: Any, scenario: Any, limits: SchedulerConfig = LIMITS, step: Fitted = QUICK, **given: Any
) -> None:
    batching = BatchingSpec(scheduler=limits, step_time=step)
    lab.run(scenario, models=MODELS, batching=batching, **given)


def test_the_bytes_are_those_of_an_engine_without_batching(lab: Any) -> None:
    bodies: list[list[bytes]] = []

    async def scenario(it: Any) -> None:
        asked: list[dict[str, Any]] = [{"stream": True}, {}, {"n": 3}, {"n": 2, "stream": True}]
        bodies.append([(await it.chat(max_tokens=9, **more)).body for more in asked])

    batched(lab, scenario)
    lab.run(scenario, models=MODELS)
    assert bodies[0] == bodies[1]


def test_a_token_leaves_when_its_step_has_ended_and_not_before(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        await it.chat(stream=True, max_tokens=6)
        (entry,) = it.ledger()
        step_ns = 2_000_000
        for k, (at_ns, _) in enumerate(entry.writes[1:7]):
            assert at_ns >= entry.received_ns + (k + 1) * step_ns

    batched(lab, scenario, step=Fitted(constant_s=0.002))


def test_who_finds_no_place_waits(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        asking = [asyncio.ensure_future(it.chat(max_tokens=5)) for _ in range(5)]
        await it.until(lambda: it.emulator.turns.waiting == 4)
        assert it.emulator.turns.running == 1  # the step it is in never ends
        assert it.emulator.stats()["batching"]["steps"] == 1
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    batched(lab, scenario, step=FOREVER)


def test_more_than_have_a_place_get_whole_answers_in_the_end(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        answered = await asyncio.gather(*(it.chat(max_tokens=5) for _ in range(7)))
        assert all(each.whole for each in answered)
        assert it.emulator.books.finished == {"length": 7}

    batched(lab, scenario)


def test_tokens_pass_a_front_one_after_the_other(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        answered = await asyncio.gather(
            *(it.chat(stream=True, max_tokens=4) for _ in range(2)), it.chat(n=2, max_tokens=4)
        )
        assert all(each.whole for each in answered)
        assert it.emulator.books.finished == {"length": 3}

    step = Fitted(constant_s=0.0005, front_s=0.001, front_token_s=0.0003)
    batched(lab, scenario, replace(LIMITS, max_num_seqs=4, async_scheduling=True), step)


def test_past_its_capacity_it_preempts_and_every_answer_is_whole(lab: Any) -> None:
    limits = replace(LIMITS, max_num_seqs=8, enable_prefix_caching=False)

    async def scenario(it: Any) -> None:
        asking = [it.chat(max_tokens=100, stream=True) for _ in range(8)]
        answered = await asyncio.gather(*asking)
        assert {len(each.chunks) for each in answered} == {len(answered[0].chunks)}
        assert all(each.whole for each in answered)
        stats = it.emulator.stats()["batching"]
        assert stats["preemptions"] > 0
        assert stats["kv_usage"] == 0

    batched(lab, scenario, limits)


def test_a_client_that_goes_away_frees_its_blocks(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(lab.post(lab.chat_path, {"model": "large", "messages": lab.hi}))
        await it.until(lambda: it.emulator.turns.running == 1)
        writer.close()
        await it.until(lambda: it.emulator.turns.running == 0)
        assert it.emulator.batch.stepper.scheduler.kv_usage == 0
        assert it.emulator.books.finished == {"abort": 1}

    batched(lab, scenario, step=FOREVER)


def test_the_time_in_front_of_the_engine_is_spent_before_it_is_queued(lab: Any) -> None:
    async def scenario(it: Any) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(lab.post(lab.chat_path, {"model": "large", "messages": lab.hi}))
        await it.until(lambda: it.emulator.requests == 1)
        assert (it.emulator.turns.running, it.emulator.turns.waiting) == (0, 0)
        writer.close()
        await it.until(lambda: not it.emulator.connections)
        assert it.emulator.books.finished == {"abort": 1}

    batched(lab, scenario, step=Fitted(constant_s=0.001, front_s=1e6))


def test_a_hold_delays_what_follows_it_whatever_the_steps_do(lab: Any) -> None:
    asked = {"model": "large", "messages": lab.hi, "max_tokens": 8, "stream": True}

    async def scenario(it: Any) -> None:
        it.emulator.set_faults([{"name": "stream.stall", "settings": {"after": 3, "s": 1e6}}])
        _, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(lab.post(lab.chat_path, asked))
        await it.until(lambda: it.emulator.books.finished == {"length": 1})
        assert it.emulator.turns.running == 0  # every step has ended, and all but three are held
        writer.close()
        await it.until(lambda: not it.emulator.connections)
        (entry,) = it.ledger()
        assert len(entry.writes) == 4  # the role and three tokens

    batched(lab, scenario)


def test_a_second_turn_finds_the_first_in_the_cache(lab: Any) -> None:
    words = " ".join(f"w{k}" for k in range(24))
    talk: list[dict[str, str]] = [{"role": "user", "content": words}]

    async def scenario(it: Any) -> None:
        first = await it.chat(messages=talk, max_tokens=16)
        said = first.json["choices"][0]["message"]["content"]
        more = [{"role": "assistant", "content": said}, {"role": "user", "content": "go on"}]
        await it.chat(messages=[*talk, *more], max_tokens=2)
        hits = it.emulator.stats()["batching"]["prefix_hits"]
        assert hits >= 36  # the prompt of 24 and most of the answer of 16

    batched(lab, scenario)
