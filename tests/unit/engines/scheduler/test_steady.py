"""A step that looks at few sequences decides what one that looks at all of them decides."""

from __future__ import annotations

import random
from typing import Any

import pytest

from harness.engines.scheduler import Scheduler, SchedulerConfig, Sequence, StepPlan
from harness.engines.scheduler.steady import Steady


class Thorough(Scheduler):
    """Looks at every running sequence in every step."""

    def _continue_steadily(self, plan: StepPlan) -> list[Sequence] | None:
        del plan
        return None


def limits(draw: random.Random) -> SchedulerConfig:
    size, longest, width = draw.choice([2, 4, 16]), draw.choice([32, 64, 100]), draw.randint(1, 12)
    least = -(-longest // size) + 1
    return SchedulerConfig(
        num_blocks=draw.randint(least, 5 * least),
        block_size=size,
        max_model_len=longest,
        max_num_seqs=width,
        max_num_batched_tokens=max(width, draw.choice([8, 40, 200])),
        long_prefill_token_threshold=draw.choice([0, 0, 3, 8]),
        enable_prefix_caching=draw.random() < 0.6,
        watermark=draw.choice([0.0, 0.1]),
        policy=draw.choice(["fcfs", "priority"]),
        async_scheduling=draw.random() < 0.5,
    )


def planned(plan: StepPlan, scheduler: Scheduler) -> dict[str, Any]:
    numbers = {
        name: [each.number for each in getattr(plan, name)]
        for name in ("admitted", "preempted", "last", "starved")
    }
    return {
        **numbers,
        "scheduled": [(each.number, tokens) for each, tokens in plan.scheduled()],
        "cost": (plan.prefill_tokens, plan.decodes, plan.context, plan.prefill_pairs),
        "pool": (scheduler.pool.free, scheduler.pool.findable, scheduler.pool.evictions),
        "running": [each.number for each in scheduler.running],
        "waiting": scheduler.waiting,
    }


def play(kind: type[Scheduler], seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    scheduler = kind(limits(draw))
    longest = scheduler.config.max_model_len
    flying: list[StepPlan] = []
    there: list[Sequence] = []
    log: list[dict[str, Any]] = []
    for _ in range(80):
        while draw.random() < 0.3:
            keys = tuple(range(draw.randrange(6)))
            prompt = draw.randrange(1, longest)
            keys = keys[: prompt // scheduler.config.block_size]
            there.append(
                Sequence(prompt, draw.randint(1, 60), keys=keys, priority=draw.randrange(3))
            )
            scheduler.add(there[-1])
        if there and draw.random() < 0.05:
            scheduler.abort(there.pop(draw.randrange(len(there))))
        while len(flying) < 1 + scheduler.config.async_scheduling:
            plan = scheduler.step()
            if not plan.sequences:
                break
            flying.append(plan)
            log.append(planned(plan, scheduler))
        if flying:
            plan = scheduler.complete(flying.pop(0))
            log.append({"sampled": [each.number for each in plan.sampled]})
    return log


@pytest.mark.parametrize("seed", range(40))
def test_the_same_is_planned(seed: int) -> None:
    assert play(Scheduler, seed) == play(Thorough, seed)


@pytest.mark.parametrize(("keys", "times"), [((), 1), (tuple(range(20)), 2)])
def test_a_sequence_is_looked_at_when_it_needs_a_block_and_when_one_can_be_found(
    keys: tuple[int, ...], times: int
) -> None:
    scheduler = Scheduler(SchedulerConfig(num_blocks=100, block_size=16, max_model_len=256))
    sequence = Sequence(10, 100, keys=keys)
    scheduler.add(sequence)
    for _ in range(30):
        scheduler.complete(scheduler.step())
    looked_at = []
    for _ in range(32):
        before = sequence.since
        scheduler.complete(scheduler.step())
        looked_at.append(sequence.since != before)
    assert sum(looked_at) == 2 * times  # in two blocks


def test_who_leaves_is_up_to_date_and_who_has_left_is_not_due() -> None:
    steady, one, other = Steady(), Sequence(4, 50), Sequence(6, 50)
    for each in (one, other):
        each.computed, each.goal, each.edge = each.prompt, each.prompt + 1, each.prompt + 3
        steady.join(each)
    assert (steady.count, steady.context) == (2, 10)
    steady.advance()
    assert steady.context == 12
    steady.leave(one)
    assert (one.computed, one.goal, steady.count, steady.context) == (5, 6, 1, 7)
    steady.advance()
    assert steady.due() == [other]
