from __future__ import annotations

from harness.load.locusts.progress import EVERY_S, Progress


def said(*looks: tuple[float, int, int]) -> list[str]:
    """What is said when it is looked at these moments, of so many judged of so many."""
    lines: list[str] = []
    moments = iter([at_s for at_s, _, _ in looks])
    progress = Progress(lines.append, clock=lambda: next(moments))
    for _, judged, of in looks:
        progress(judged, of)
    return lines


def test_it_says_how_many_how_fast_and_how_long_it_will_take() -> None:
    (line,) = said((10, 1000, 41_000), (10 + 2 * EVERY_S, 13_000, 41_000))
    assert line == (
        "judging: 13,000 of 41,000 answers, 2,000 a second, 14 s left; "
        "Ctrl-C keeps those that are judged"
    )


def test_a_line_every_few_seconds_is_enough() -> None:
    assert len(said(*((tenth / 10, tenth, 1000) for tenth in range(101)))) == 10 // EVERY_S


def test_nothing_is_said_where_nothing_is_waited_for() -> None:
    assert said((0, 5, 5), (100, 5, 5)) == []


def test_where_nothing_was_judged_no_time_is_promised() -> None:
    *_, last = said((0, 5, 9), (EVERY_S, 7, 9), (2 * EVERY_S, 7, 9))
    assert "7 of 9 answers, none in the last 3 s" in last
