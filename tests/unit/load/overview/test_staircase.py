from __future__ import annotations

import random

import pytest

from harness.load.goodput import Met
from harness.load.journal.rows import Row
from harness.load.overview.staircase import MOST_STEPS, staircase

S = 1_000_000_000
HOLD = 60.0


def row(due_s: float, load: float, *, e2e_s: float, tokens: int, ttft_ms: float = 100.0) -> Row:
    return Row(
        due_unix_ns=round(due_s * S),
        ended_unix_ns=round((due_s + e2e_s) * S),
        number=0,
        name="m",
        load=load,
        worker="0",
        met=Met(
            whole=True, why="", queue_ms=0.0, ttft_ms=ttft_ms, e2e_ms=e2e_s * 1000, tokens=tokens
        ),
    )


def closed(users: int, begun_s: float, *, gap_s: float, seed: int = 1) -> list[Row]:
    """Users who ask again as soon as they are answered; answers differ in length."""
    source = random.Random(f"{users} {seed}")
    found = []
    for _ in range(users):
        at = begun_s
        while at < begun_s + HOLD:
            tokens = source.randint(20, 60)
            lasts = 0.1 + gap_s * tokens * source.uniform(0.9, 1.1)
            found.append(row(at, users, e2e_s=lasts, tokens=tokens))
            at += lasts
    return found


def test_steps_stand_by_load_with_the_throughput_they_had() -> None:
    rows = closed(2, 0, gap_s=0.02) + closed(8, HOLD, gap_s=0.03)

    found = staircase(rows)

    low, high = found.steps
    assert (low.load, high.load, found.why) == (2, 8, "")
    assert low.in_flight == pytest.approx(2, rel=0.02)
    assert high.in_flight == pytest.approx(8, rel=0.02)
    assert low.tokens_per_s.value == pytest.approx(2 * 40 / 0.9, rel=0.1)
    assert high.tokens_per_s.value == pytest.approx(8 * 40 / 1.3, rel=0.1)
    assert high.tokens_per_s.interval is not None
    assert low.figures["ttft", 0.5].value == 100
    assert ("itl", 0.5) not in low.figures
    assert low.due + high.due == len(rows)


def test_what_the_level_before_left_over_is_not_counted_for_the_next() -> None:
    rows = [row(0, 1, e2e_s=70, tokens=7000), row(59, 1, e2e_s=1, tokens=10)]
    rows += [row(60 + second, 2, e2e_s=20, tokens=0) for second in range(40)]

    _, second = staircase(rows).steps

    assert second.settled_unix_ns == 79.5 * S  # half of the time in which they were due
    assert second.tokens_per_s.value == 0


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = closed(2, 0, gap_s=0.02) + closed(4, HOLD, gap_s=0.02)

    assert [step.load for step in staircase(rows[::-1]).steps] == [2, 4]
    forward, backward = staircase(rows).steps[1], staircase(rows[::-1]).steps[1]
    assert forward.tokens_per_s.value == pytest.approx(backward.tokens_per_s.value)


def test_a_speedup_carries_what_both_intervals_allow() -> None:
    found = staircase(closed(8, 0, gap_s=0.02) + closed(16, HOLD, gap_s=0.02))

    ratio = found.speedup(found.steps[1])

    assert ratio is not None
    value, interval = ratio
    assert value == pytest.approx(2, rel=0.1)
    assert interval is not None
    assert interval[0] < value < interval[1]
    assert found.speedup(found.steps[0])[0] == 1  # type: ignore[index]


def test_failures_are_counted_where_they_were_due() -> None:
    bad = Row(
        due_unix_ns=5 * S,
        ended_unix_ns=5 * S,
        number=0,
        name="m",
        load=2,
        worker="0",
        failure="refused",
        met=Met(whole=False, why="refused"),
    )

    (step,) = staircase([*closed(2, 0, gap_s=0.02), bad]).steps

    assert step.failed == 1


def test_a_load_that_comes_back_has_no_steps_and_says_so() -> None:
    rows = [row(second, 1 + second // 10 % 2, e2e_s=1, tokens=9) for second in range(60)]

    found = staircase(rows)

    assert found.steps == ()
    assert found.why == "the load went back and forth between its levels"


def test_a_load_that_changes_all_the_time_has_no_steps() -> None:
    rows = [row(second, second, e2e_s=1, tokens=9) for second in range(MOST_STEPS + 1)]

    assert staircase(rows).why == f"the load took more than {MOST_STEPS} values"
    assert staircase([]).why == "nothing was due"


def test_one_user_alone_has_a_throughput_with_an_interval() -> None:
    """Its pieces see-saw with the length of its answers; that does not hide how it varies."""
    held = 0
    for seed in range(20):
        (step,) = staircase(closed(1, 0, gap_s=0.02, seed=seed)).steps
        assert step.tokens_per_s.interval is not None
        low, high = step.tokens_per_s.interval
        held += low < 40 / 0.9 < high
    assert held >= 18


def test_the_interval_of_a_throughput_stays_above_nothing() -> None:
    rows = [row(second, 1, e2e_s=0.5, tokens=9 if second < 4 else 0) for second in range(60)]

    (step,) = staircase(rows).steps

    assert step.tokens_per_s.low in {0, None}


def test_latencies_that_drift_are_less_sure_than_the_same_in_any_order() -> None:
    times = [100.0 + number for number in range(400)]
    mixed = random.Random(1).sample(times, len(times))
    drifting, steady = (
        staircase([row(n / 8, 1, e2e_s=1, tokens=9, ttft_ms=ms) for n, ms in enumerate(each)])
        .steps[0]
        .figures["ttft", 0.5]
        for each in (times, mixed)
    )

    assert drifting.value == steady.value
    assert drifting.interval is None
    assert steady.interval is not None
