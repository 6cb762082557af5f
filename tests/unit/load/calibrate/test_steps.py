from __future__ import annotations

from harness.load.calibrate.steps import Step, Stream, steps

MS = 1_000_000


def stream(prompt: int, *at_ms: float) -> Stream:
    return Stream(prompt, [round(at * MS) for at in at_ms])


def test_a_lone_answer_shows_every_step_but_its_first() -> None:
    assert steps([stream(40, 30, 32, 35)]) == [Step(0.002, 0, 1, 41), Step(0.003, 0, 1, 42)]


def test_a_step_holds_who_went_on_and_the_prompt_of_who_began() -> None:
    found = steps([stream(40, 10, 20, 50, 60), stream(100, 50.1, 60.1)])
    assert found[1] == Step(0.030, 100, 1, 42)
    assert found[2] == Step(0.010, 0, 2, 43 + 101)


def test_an_answer_that_ends_does_not_merge_two_steps() -> None:
    found = steps([stream(4, 10, 20), stream(4, 10.1, 20.1, 30.1), stream(4, 10.2, 20.2, 30.2)])
    assert [(step.seconds, step.decodes) for step in found] == [(0.010, 3), (0.0101, 2)]


def test_time_in_which_nobody_was_served_is_no_step() -> None:
    assert steps([stream(4, 10, 12), stream(4, 500, 502)]) == [
        Step(0.002, 0, 1, 5),
        Step(0.002, 0, 1, 5),
    ]
    assert steps([]) == []
