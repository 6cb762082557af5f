from __future__ import annotations

from dataclasses import replace

import pytest

from harness.engines.scheduler import SchedulerConfig, SchedulerError
from harness.engines.scheduler.simulate import Arrival, Balancing, Outcome, simulate
from harness.engines.scheduler.steptime import Fitted

LIMITS = SchedulerConfig(
    num_blocks=65, max_model_len=256, max_num_seqs=8, max_num_batched_tokens=64
)
SECOND = Fitted(constant_s=1.0)
"""Every step takes a second."""


def test_one_request_takes_a_step_for_its_prompt_and_one_for_each_further_token() -> None:
    (outcome,) = simulate([Arrival(10.0, 40, 5)], LIMITS, SECOND).outcomes
    assert (outcome.ttft_s, outcome.e2e_s, outcome.itl_s) == (1.0, 5.0, 1.0)
    (longer,) = simulate([Arrival(0.0, 100, 5)], LIMITS, SECOND).outcomes
    assert (longer.ttft_s, longer.e2e_s) == (2.0, 6.0)


def test_who_comes_amid_a_step_waits_for_the_next_and_one_more_if_it_was_planned_ahead() -> None:
    arrivals = [Arrival(0.0, 4, 9), Arrival(0.5, 4, 2)]
    ttft = {}
    for ahead in (False, True):
        limits = replace(LIMITS, async_scheduling=ahead)
        second = next(
            o for o in simulate(arrivals, limits, SECOND).outcomes if o.arrival.at_s == 0.5
        )
        ttft[ahead] = second.ttft_s
    assert ttft == {False: 1.5, True: 2.5}


def test_the_front_takes_requests_and_tokens_one_at_a_time() -> None:
    slow = Fitted(constant_s=1.0, front_s=0.25, front_token_s=0.125)
    (outcome,) = simulate([Arrival(0.0, 4, 2)], LIMITS, slow).outcomes
    assert (outcome.ttft_s, outcome.e2e_s) == (0.25 + 1 + 0.125, 0.25 + 2 + 0.125)
    delayed = replace(slow, front_delay_s=0.5)
    (outcome,) = simulate([Arrival(0.0, 4, 2)], LIMITS, delayed).outcomes
    assert outcome.ttft_s == 0.25 + 0.5 + 1 + 0.125
    both = simulate([Arrival(0.0, 4, 1), Arrival(0.0, 4, 1)], LIMITS, slow).outcomes
    assert [each.ttft_s for each in both] == [1.375, 2.375]  # the second came during a step


def test_past_its_capacity_an_engine_makes_wait_and_preempts() -> None:
    tight = replace(LIMITS, num_blocks=17, enable_prefix_caching=False)
    many = [Arrival(0.0, 16, 100) for _ in range(8)]
    crowded, roomy = (
        simulate(many, limits, SECOND) for limits in (tight, replace(tight, num_blocks=257))
    )
    assert roomy.preemptions == 0 < crowded.preemptions
    assert crowded.most_kv_usage > 0.9
    assert crowded.ended_at_s > roomy.ended_at_s
    assert max(o.longest_gap_s for o in roomy.outcomes) == 1.0
    assert max(o.longest_gap_s for o in crowded.outcomes) > 1.0
    assert all(outcome.tokens == 100 for outcome in crowded.outcomes)


def test_who_waits_is_seen_for_the_length_of_the_step_after_the_one_without_a_place_for_it() -> (
    None
):
    limits = replace(LIMITS, max_num_seqs=1)
    long = Fitted(constant_s=1.0, prefill_token_s=0.1)
    # Steps: 4 prompt tokens until 1.4, a token until 2.4, the other's 20 until 5.4, one until 6.4.
    both = simulate([Arrival(0.0, 4, 2), Arrival(0.5, 20, 2)], limits, long)
    assert both.ended_at_s == pytest.approx(6.4)
    # It came amid the first, found no place in the second, and was told of until the third's end.
    assert both.waiting_s == pytest.approx(5.4 - 2.4)
    assert simulate([Arrival(0.0, 4, 2)], limits, long).waiting_s == 0


def test_a_front_is_free_before_the_first_request_whenever_that_comes() -> None:
    slow = Fitted(constant_s=1.0, front_s=0.25)
    (outcome,) = simulate([Arrival(-5.0, 4, 1)], LIMITS, slow).outcomes
    assert outcome.ttft_s == 1.25


def test_replicas_share_the_load() -> None:
    arrivals = [Arrival(0.0, 4, 20) for _ in range(8)]
    ways: tuple[Balancing, ...] = ("least-busy", "round-robin")
    for balancing in ways:
        run = simulate(arrivals, LIMITS, SECOND, replicas=4, balancing=balancing)
        assert sorted(o.replica for o in run.outcomes) == [0, 0, 1, 1, 2, 2, 3, 3]
        assert run.busy_s == run.steps == 4 * 21  # the second of each came when a step had begun


def test_the_least_busy_replica_is_taken() -> None:
    arrivals = [Arrival(0.0, 4, 50), Arrival(1.0, 4, 2), Arrival(10.0, 4, 2), Arrival(11.0, 4, 2)]
    run = simulate(arrivals, LIMITS, SECOND, replicas=2)
    by_arrival = {outcome.arrival.at_s: outcome.replica for outcome in run.outcomes}
    assert by_arrival == {0.0: 0, 1.0: 1, 10.0: 1, 11.0: 0}


def test_a_closed_loop_follows_from_what_has_ended() -> None:
    left = [3]

    def again(outcome: Outcome) -> Arrival | None:
        left[0] -= 1
        return Arrival(outcome.last_at_s + 0.5, 4, 2) if left[0] else None

    run = simulate([Arrival(0.0, 4, 2)], LIMITS, SECOND, after=again)
    assert [(o.arrival.at_s, o.last_at_s) for o in run.outcomes] == [
        (0.0, 2.0),
        (2.5, 4.5),
        (5.0, 7.0),
    ]


def test_a_shared_beginning_is_computed_once() -> None:
    keys = (1, 2)
    arrivals = [Arrival(float(10 * k), 40, 2, keys=keys) for k in range(3)]
    run = simulate(arrivals, LIMITS, SECOND)
    assert [o.cached_tokens for o in run.outcomes] == [0, 32, 32]
    assert (run.prefix_queries, run.prefix_hits) == (120, 64)


def test_a_request_that_never_fits_is_refused() -> None:
    with pytest.raises(SchedulerError, match="does not fit into max_model_len"):
        simulate([Arrival(0.0, 256, 1)], LIMITS, SECOND)
