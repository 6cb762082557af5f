from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engines.scheduler import (
    Scheduler,
    SchedulerConfig,
    SchedulerError,
    Sequence,
    chain_keys,
)

SMALL = SchedulerConfig(
    num_blocks=9, block_size=4, max_model_len=32, max_num_seqs=4, max_num_batched_tokens=16
)


def config(**changes: Any) -> SchedulerConfig:
    return replace(SMALL, **changes)


@dataclass(frozen=True)
class Load:
    """A configuration, requests as (step, prompt words, answer tokens, priority), and aborts."""

    config: SchedulerConfig
    requests: tuple[tuple[int, tuple[int, ...], int, int], ...]
    aborts: frozenset[tuple[int, int]] = frozenset()


@st.composite
def loads(draw: st.DrawFn, /, **fixed: Any) -> Load:
    block_size = draw(st.sampled_from([1, 2, 4, 8]))
    longest = draw(st.integers(4, 48))
    seats = draw(st.integers(1, 8))
    chosen = {
        "num_blocks": -(-longest // block_size) + 1 + draw(st.integers(0, 12)),
        "block_size": block_size,
        "max_model_len": longest,
        "max_num_seqs": seats,
        "max_num_batched_tokens": seats + draw(st.integers(0, 40)),
        "long_prefill_token_threshold": draw(st.sampled_from([0, 0, 1, 5])) % (longest + 1),
        "enable_prefix_caching": draw(st.booleans()),
        "scheduler_reserve_full_isl": draw(st.booleans()),
        "watermark": draw(st.sampled_from([0.0, 0.0, 0.2])),
        "policy": draw(st.sampled_from(["fcfs", "priority"])),
        "async_scheduling": draw(st.booleans()),
    }
    request = st.tuples(
        st.integers(0, 20),
        st.lists(st.integers(0, 2), min_size=1, max_size=longest - 1).map(tuple),
        st.integers(1, 40),
        st.integers(0, 2),
    )
    requests = tuple(sorted(draw(st.lists(request, min_size=1, max_size=12)), key=lambda r: r[0]))
    aborts = draw(
        st.frozensets(st.tuples(st.integers(0, 30), st.integers(0, len(requests) - 1)), max_size=3)
    )
    return Load(SchedulerConfig(**{**chosen, **fixed}), requests, fixed.get("aborts", aborts))


class Played:
    """A load played to its end; every step is checked as it is planned."""

    def __init__(self, load: Load) -> None:
        self.config = load.config
        self.scheduler = Scheduler(load.config)
        self.sequences: list[Sequence] = []
        self.tokens: dict[int, int] = {}
        self.computed: dict[int, int] = {}
        self.admitted: list[int] = []
        self.rows: list[tuple[Any, ...]] = []
        self._play(load)

    def _play(self, load: Load) -> None:
        scheduler, coming = self.scheduler, list(load.requests)
        flying: list[Any] = []
        depth = 2 if load.config.async_scheduling else 1
        for step in range(20_000):
            while coming and coming[0][0] <= step:
                _, words, length, priority = coming.pop(0)
                keys = chain_keys(words, load.config.block_size)
                sequence = Sequence(len(words), length, keys=keys, priority=priority)
                self.sequences.append(sequence)
                scheduler.add(sequence)
            for at, number in load.aborts:
                if at == step and number < len(self.sequences):
                    scheduler.abort(self.sequences[number])
            if not coming and not flying and scheduler.idle:
                return
            plan = scheduler.step()
            self._check(plan)
            if plan.sequences:
                flying.append(plan)
            if flying and (len(flying) == depth or not plan.sequences):
                for sequence in scheduler.complete(flying.pop(0)).sampled:
                    self.tokens[sequence.number] = self.tokens.get(sequence.number, 0) + 1
        raise AssertionError("it never came to an end")

    def _check(self, plan: Any) -> None:
        limits, scheduler, pool = self.config, self.scheduler, self.scheduler.pool
        assert 0 <= plan.tokens <= limits.max_num_batched_tokens
        assert plan.tokens == sum(tokens for _, tokens in plan.scheduled())
        assert len(scheduler.running) <= limits.max_num_seqs
        held = {id(block) for each in scheduler.running for block in each.blocks}
        nameless = sum(each.nameless for each in scheduler.running)
        assert pool.used == len(held) + nameless <= pool.usable
        assert pool.used + pool.free == pool.usable
        for sequence in scheduler.running:
            blocks = len(sequence.blocks) + sequence.nameless
            assert blocks * limits.block_size == sequence.room >= sequence.computed
        for sequence in plan.preempted:
            assert (sequence.blocks, sequence.computed, sequence.running) == ([], 0, False)
        for sequence, tokens in plan.scheduled():
            self.computed[sequence.number] = self.computed.get(sequence.number, 0) + tokens
        self.admitted += [each.number for each in plan.admitted if not each.preemptions]
        self.rows.append(
            (
                tuple((each.number, tokens) for each, tokens in plan.scheduled()),
                tuple(each.number for each in plan.preempted),
                scheduler.waiting,
                scheduler.kv_usage,
            )
        )


@given(loads())
def test_every_request_ends_with_exactly_its_tokens_and_every_block_comes_back(load: Load) -> None:
    played = Played(load)
    aborted = played.scheduler.counters.aborted
    whole = [s for s in played.sequences if played.tokens.get(s.number, 0) == s.length]
    assert len(whole) >= len(played.sequences) - aborted
    assert all(sequence.finished for sequence in played.sequences)
    assert all(played.tokens.get(s.number, 0) <= s.length for s in played.sequences)
    assert played.scheduler.pool.free == played.scheduler.pool.usable
    assert played.scheduler.counters.finished + aborted == len(played.sequences)


@given(loads())
def test_what_is_not_found_in_the_cache_is_computed_and_recomputed_after_preemption(
    load: Load,
) -> None:
    played = Played(replace(load, aborts=frozenset()))
    for sequence in played.sequences:
        needed = sequence.prompt + sequence.length - 1
        computed = played.computed[sequence.number]
        if sequence.preemptions == 0:
            assert computed + sequence.hit_tokens == needed
        else:
            assert computed + sequence.hit_tokens >= needed
    if not load.config.enable_prefix_caching:
        assert all(s.hit_tokens == 0 for s in played.sequences)


@given(loads(policy="fcfs"))
def test_the_first_to_come_is_the_first_to_begin(load: Load) -> None:
    assert Played(replace(load, aborts=frozenset())).admitted == sorted(
        Played(replace(load, aborts=frozenset())).admitted
    )


@given(loads())
def test_the_same_load_gives_the_same_schedule(load: Load) -> None:
    assert Played(load).rows == Played(load).rows


@given(loads(policy="fcfs"))
def test_only_who_came_after_is_preempted_for_somebody(load: Load) -> None:
    for scheduled, preempted, _, _ in Played(load).rows:
        for victim in preempted:
            assert victim not in [number for number, _ in scheduled]


def steps(scheduler: Scheduler, count: int) -> list[list[tuple[int, int]]]:
    """The first steps, each as (number of the sequence, its tokens)."""
    rows = []
    for _ in range(count):
        plan = scheduler.step()
        rows.append([(sequence.number, tokens) for sequence, tokens in plan.scheduled()])
        scheduler.complete(plan)
    return rows


def test_a_long_prompt_is_computed_in_chunks_beside_who_generates() -> None:
    scheduler = Scheduler(config(num_blocks=20))
    scheduler.add(Sequence(2, 9))
    scheduler.add(Sequence(30, 1))
    assert steps(scheduler, 3) == [[(1, 2), (2, 14)], [(1, 1), (2, 15)], [(1, 1), (2, 1)]]


def test_a_threshold_leaves_the_budget_to_others_but_not_when_there_are_none() -> None:
    limits = config(num_blocks=40, long_prefill_token_threshold=5)
    scheduler = Scheduler(limits)
    scheduler.add(Sequence(12, 1))
    scheduler.add(Sequence(12, 1))
    assert steps(scheduler, 1) == [[(1, 5), (2, 5)]]
    alone = Scheduler(limits)
    alone.add(Sequence(12, 1))
    assert steps(alone, 1) == [[(1, 12)]]


def test_without_chunked_prefill_a_prompt_waits_for_a_whole_budget() -> None:
    limits = config(num_blocks=40, max_num_batched_tokens=32, enable_chunked_prefill=False)
    scheduler = Scheduler(limits)
    scheduler.add(Sequence(20, 2))
    scheduler.add(Sequence(20, 2))
    assert steps(scheduler, 2) == [[(1, 20)], [(1, 1), (2, 20)]]


@pytest.mark.parametrize(("reserve", "running"), [(True, 1), (False, 2)])
def test_a_prompt_is_admitted_whole_or_not_at_all_if_so_told(reserve: bool, running: int) -> None:
    limits = config(num_blocks=11, max_num_batched_tokens=30, scheduler_reserve_full_isl=reserve)
    scheduler = Scheduler(limits)
    scheduler.add(Sequence(24, 2))
    scheduler.add(Sequence(20, 2))
    scheduler.complete(scheduler.step())
    assert len(scheduler.running) == running


def test_first_come_first_served_preempts_the_youngest_and_computes_it_again() -> None:
    scheduler = Scheduler(config(num_blocks=9, enable_prefix_caching=False))
    old, young = Sequence(8, 20), Sequence(7, 20)
    scheduler.add(old)
    scheduler.add(young)
    seen = []
    while not scheduler.idle:
        plan = scheduler.step()
        seen += [each.number for each in plan.preempted]
        scheduler.complete(plan)
    assert set(seen) == {2}
    assert (old.preemptions, scheduler.counters.preemptions) == (0, len(seen))


def test_priority_preempts_the_least_urgent_whoever_came_first() -> None:
    scheduler = Scheduler(config(policy="priority", enable_prefix_caching=False))
    patient, urgent = Sequence(8, 20, priority=9), Sequence(7, 20, priority=1)
    scheduler.add(patient)
    scheduler.add(urgent)
    plan = scheduler.complete(scheduler.step())
    assert [sequence.number for sequence in plan.sequences] == [2, 1]
    while not scheduler.idle:
        scheduler.complete(scheduler.step())
    assert patient.preemptions > 0
    assert urgent.preemptions == 0


def test_an_equal_prompt_is_found_but_for_its_last_token() -> None:
    scheduler = Scheduler(config(num_blocks=40, max_num_batched_tokens=64))
    keys = chain_keys(range(8), 4)
    for _ in range(2):
        scheduler.add(Sequence(8, 1, keys=keys))
    assert steps(scheduler, 1) == [[(1, 8), (2, 4)]]
    assert (scheduler.counters.prefix_queries, scheduler.counters.prefix_hits) == (16, 4)


def test_a_different_beginning_is_not_found() -> None:
    scheduler = Scheduler(config(num_blocks=40, max_num_batched_tokens=64))
    scheduler.add(Sequence(9, 1, keys=chain_keys([0, 1, 2, 3, 4, 5, 6, 7], 4)))
    scheduler.add(Sequence(9, 1, keys=chain_keys([9, 1, 2, 3, 4, 5, 6, 7], 4)))
    assert steps(scheduler, 1) == [[(1, 9), (2, 9)]]


def test_an_asynchronous_engine_takes_a_newcomer_one_step_later() -> None:
    begun = {}
    for ahead in (False, True):
        scheduler = Scheduler(config(num_blocks=40, async_scheduling=ahead))
        scheduler.add(Sequence(4, 9))
        flying = [scheduler.step()]
        if ahead:
            flying.append(scheduler.step())
        scheduler.add(Sequence(4, 9))  # while the first step is computed
        scheduler.complete(flying.pop(0))
        flying.append(scheduler.step())
        begun[ahead] = [len(plan.sequences) for plan in flying]
    assert begun == {False: [2], True: [1, 2]}


def test_paused_it_admits_nobody_and_finishes_who_runs() -> None:
    scheduler = Scheduler(SMALL)
    scheduler.add(Sequence(2, 2))
    scheduler.complete(scheduler.step())
    scheduler.paused = True
    scheduler.add(Sequence(2, 2))
    scheduler.complete(scheduler.step())
    assert (scheduler.running, scheduler.waiting, scheduler.step().tokens) == ([], 1, 0)


def test_who_is_aborted_amid_a_step_gets_no_token_of_it() -> None:
    scheduler = Scheduler(SMALL)
    gone, other = Sequence(2, 5), Sequence(2, 5)
    scheduler.add(gone)
    scheduler.add(other)
    plan = scheduler.step()
    scheduler.abort(gone)
    assert scheduler.complete(plan).sampled == [other]
    scheduler.abort(gone)  # again: nothing happens
    assert scheduler.counters.aborted == 1


def test_an_answer_is_cut_where_the_model_ends() -> None:
    scheduler = Scheduler(SMALL)
    sequence = Sequence(30, 100)
    scheduler.add(sequence)
    assert sequence.length == 2


@pytest.mark.parametrize(
    ("prompt", "length", "id_"),
    [(32, 1, "scheduler.too-long"), (0, 1, "scheduler.sequence"), (3, 0, "scheduler.sequence")],
)
def test_what_can_never_be_computed_is_refused(prompt: int, length: int, id_: str) -> None:
    with pytest.raises(SchedulerError) as caught:
        Scheduler(SMALL).add(Sequence(prompt, length))
    assert caught.value.id == id_
