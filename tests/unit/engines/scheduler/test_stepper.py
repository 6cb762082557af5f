from __future__ import annotations

from dataclasses import replace

import pytest

from harness.engines.scheduler import SchedulerConfig, SchedulerError, Sequence
from harness.engines.scheduler.stepper import Stepper
from harness.engines.scheduler.steptime import Fitted

LIMITS = SchedulerConfig(
    num_blocks=65, max_model_len=256, max_num_seqs=2, max_num_batched_tokens=64
)
SECOND = Fitted(constant_s=1.0)


def told(stepper: Stepper) -> tuple[int, int]:
    return stepper.gauges.running, stepper.gauges.waiting


def begun(*sequences: Sequence, config: SchedulerConfig = LIMITS) -> Stepper:
    stepper = Stepper(config, SECOND)
    for sequence in sequences:
        stepper.add(sequence)
    stepper.begin(0.0)
    return stepper


def advance(stepper: Stepper) -> None:
    end_s, _ = stepper.end()
    stepper.begin(end_s)


def test_a_gauge_is_set_as_a_step_ends_and_holds_until_the_next_has_ended() -> None:
    stepper = begun(*(Sequence(40, 3) for _ in range(3)))
    assert told(stepper) == (0, 0)  # one and a half prompts are computed, and nobody was told
    assert stepper.waiting == 1
    advance(stepper)
    assert told(stepper) == (2, 1)
    assert stepper.gauges.kv_usage == pytest.approx(5 / 64)


def test_who_arrives_amid_a_step_is_looked_at_when_it_has_ended() -> None:
    stepper = begun(Sequence(4, 9), Sequence(4, 9))
    stepper.add(Sequence(4, 9))
    assert (stepper.waiting, stepper.scheduler.waiting) == (1, 0)
    advance(stepper)
    assert told(stepper) == (2, 0)  # it arrived amid the step that has just ended
    assert stepper.scheduler.waiting == 1
    advance(stepper)
    assert told(stepper) == (2, 1)


def test_planned_ahead_who_arrives_is_told_of_a_step_later() -> None:
    config = replace(LIMITS, async_scheduling=True)
    stepper = begun(Sequence(4, 9), Sequence(4, 9), config=config)
    stepper.add(Sequence(4, 9))
    advance(stepper)
    assert told(stepper) == (2, 0)
    advance(stepper)
    assert told(stepper) == (2, 1)


def test_the_last_to_end_leaves_nothing_behind() -> None:
    stepper = begun(Sequence(4, 2))
    advance(stepper)
    assert told(stepper) == (1, 0)
    advance(stepper)
    assert (told(stepper), stepper.gauges.kv_usage, stepper.end_s) == ((0, 0), 0, None)


def test_who_is_gone_amid_a_step_is_no_longer_told_of_when_it_has_ended() -> None:
    first, second, third, fourth = (Sequence(4, 9) for _ in range(4))
    stepper = begun(first, second, third)
    advance(stepper)
    stepper.add(fourth)
    for each in (second, third, fourth):
        stepper.abort(each)
    assert told(stepper) == (2, 1)
    assert stepper.waiting == 0
    advance(stepper)
    assert told(stepper) == (1, 0)
    assert fourth.finished
    stepper.abort(fourth)  # and once more changes nothing
    assert stepper.scheduler.counters.aborted == 2


def test_paused_nobody_is_told_of_until_somebody_is_gone() -> None:
    stepper = Stepper(LIMITS, SECOND)
    stepper.scheduler.paused = True
    first, second = Sequence(4, 9), Sequence(4, 9)
    for each in (first, second):
        stepper.add(each)
        stepper.begin(0.0)
    assert (told(stepper), stepper.waiting) == ((0, 0), 2)
    stepper.abort(first)
    stepper.begin(0.0)
    assert told(stepper) == (0, 1)  # the empty step that clears up after the first
    stepper.abort(second)
    stepper.begin(0.0)
    assert told(stepper) == (0, 0)


def test_a_sequence_that_never_fits_is_refused_when_it_is_looked_at() -> None:
    stepper = Stepper(LIMITS, SECOND)
    stepper.add(Sequence(256, 1))
    with pytest.raises(SchedulerError, match="does not fit into max_model_len"):
        stepper.begin(0.0)
