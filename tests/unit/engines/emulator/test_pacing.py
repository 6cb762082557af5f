from __future__ import annotations

from harness.engines.emulator.pacing import FixedPacing, Turns
from harness.engines.spec import Settings


def test_due_times_are_absolute() -> None:
    pacing = FixedPacing.of(Settings(ttft_ms=100, itl_ms=20))
    assert [pacing.due_ns(1_000, k) for k in (0, 1, 64)] == [
        100_001_000,
        120_001_000,
        1_380_001_000,
    ]


def test_turns_are_in_order_of_arrival_and_no_more_than_the_limit() -> None:
    begun: list[str] = []
    enter = {name: (lambda name=name: begun.append(name)) for name in "abcd"}
    turns = Turns(2)
    for begin in enter.values():
        turns.enter(begin)
    assert (begun, turns.running, turns.waiting) == (["a", "b"], 2, 2)
    turns.leave(enter["a"])
    assert begun == ["a", "b", "c"]
    turns.leave(enter["d"])  # went away while it waited: takes no place
    turns.leave(enter["b"])
    assert (begun, turns.running, turns.waiting) == (["a", "b", "c"], 1, 0)


def test_without_a_limit_nobody_waits() -> None:
    turns = Turns(None)
    begun: list[int] = []
    for n in range(1000):
        turns.enter(lambda n=n: begun.append(n))
    assert (len(begun), turns.waiting) == (1000, 0)


def test_a_raised_limit_lets_in_who_waits() -> None:
    turns = Turns(1)
    begun: list[int] = []
    for n in range(3):
        turns.enter(lambda n=n: begun.append(n))
    turns.limit = 3
    turns.admit()
    assert begun == [0, 1, 2]
