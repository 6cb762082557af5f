from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import Verdict
from harness.statistics import Comparison, compare, order

RUNS = 400
BLOCKS = 8


def measured(effect: float, seed: int, *, plan: str, noise: float = 0.04) -> list[float]:
    """Medians of runs on a machine that drifts by 40 % while neighbours come and go."""
    source = random.Random(f"{seed}/{effect}")
    neighbour, figures = 0.0, []
    for position, setting in enumerate(plan):
        drift = 0.4 * position / len(plan)
        neighbour = 0.7 * neighbour + source.gauss(0, noise / 2)
        value = 100 * math.exp(drift + neighbour + source.gauss(0, noise))
        figures.append(value * (1 + effect if setting == "B" else 1))
    return figures


def verdicts(effect: float, *, plan: str = order(BLOCKS)) -> Counter[Verdict]:
    return Counter(
        compare(measured(effect, seed, plan=plan), minimum_effect=0.03).verdict
        for seed in range(RUNS)
    )


def test_the_same_setting_twice_raises_no_alarm() -> None:
    """Measured false alarms: below 1 %."""
    assert verdicts(0.0)[Verdict.FAIL] / RUNS < 0.01


def test_a_true_effect_of_ten_per_cent_is_found_or_left_open() -> None:
    said = verdicts(0.10)
    assert said[Verdict.FAIL] / RUNS > 0.6
    assert said[Verdict.PASS] / RUNS < 0.01


def test_more_blocks_find_it_nearly_always() -> None:
    assert verdicts(0.10, plan=order(20))[Verdict.FAIL] / RUNS > 0.95


def test_an_effect_at_the_minimum_is_seldom_called_either_way() -> None:
    """The worst case: each wrong verdict in at most 1 % of comparisons (twice that, in 400)."""
    said = verdicts(0.03)
    assert said[Verdict.FAIL] / RUNS < 0.03
    assert said[Verdict.PASS] / RUNS < 0.03


def test_without_blocks_the_drift_is_the_effect() -> None:
    """The same figures measured one setting after the other, read as blocks: always wrong."""
    plan = "A" * 2 * BLOCKS + "B" * 2 * BLOCKS
    figures = measured(0.0, 1, plan=plan)
    before, after = figures[: 2 * BLOCKS], figures[2 * BLOCKS :]
    shuffled = [{"A": before, "B": after}[setting].pop(0) for setting in order(BLOCKS)]
    assert compare(shuffled, minimum_effect=0.03).verdict is Verdict.FAIL


@given(drift=st.floats(-0.5, 0.5), effect=st.floats(-0.5, 1.0), blocks=st.integers(3, 12))
def test_what_drifts_in_a_straight_line_leaves_no_trace(
    drift: float, effect: float, blocks: int
) -> None:
    figures = [
        math.exp(drift * position) * (1 + effect if setting == "B" else 1)
        for position, setting in enumerate(order(blocks))
    ]
    found = compare(figures, minimum_effect=0.1)
    assert found.effect == pytest.approx(effect, abs=1e-6)
    assert found.interval is not None
    assert list(found.interval) == pytest.approx([effect, effect], abs=1e-6)


def exact(effect: float, **options: object) -> Comparison:
    figures = [1 + effect if setting == "B" else 1.0 for setting in order(4)]
    return compare(figures, minimum_effect=0.05, **options)  # type: ignore[arg-type]


def test_better_is_no_failure_and_worse_is_one() -> None:
    assert exact(-0.2).verdict is Verdict.PASS
    assert exact(0.2).verdict is Verdict.FAIL
    assert "beyond +5.0%" in exact(0.2).reason


def test_where_smaller_is_worse_the_sides_change() -> None:
    assert exact(-0.2, larger_is_worse=False).verdict is Verdict.FAIL
    assert exact(0.2, larger_is_worse=False).verdict is Verdict.PASS


def test_two_blocks_say_nothing() -> None:
    found = compare([1, 2, 2, 1, 2, 1, 1, 2], minimum_effect=0.05)
    assert (found.verdict, found.interval, found.blocks) == (Verdict.INCONCLUSIVE, None, 2)
    assert found.effect == pytest.approx(1.0)


def test_an_unfinished_block_is_left_out() -> None:
    assert compare([1, 2, 2, 1, 5, 5], minimum_effect=0.05).blocks == 1


def test_the_order_puts_neither_first_always() -> None:
    assert order(3) == "ABBABAABABBA"
    assert Counter(order(6)) == {"A": 12, "B": 12}


@pytest.mark.parametrize(
    ("figures", "minimum"),
    [([1, 1, 1], 0.1), ([1, 1, 0, 1], 0.1), ([1, 1, math.nan, 1], 0.1), ([1, 1, 1, 1], 0)],
)
def test_what_cannot_be_compared_is_refused(figures: list[float], minimum: float) -> None:
    with pytest.raises(ValueError, match=r"no whole block|needs positive|minimum effect"):
        compare(figures, minimum_effect=minimum)
    with pytest.raises(ValueError, match="give at least 1"):
        order(0)
