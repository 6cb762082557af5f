"""False alarms and power where noise is heavy-tailed, remembers, drifts, or was recorded."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.load.comparing.replay import EFFECT, blocks_of, effect_for, judged, worth
from harness.statistics import compare, order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.statistics import Comparison

BLOCKS = 8
RECORDED = Path(__file__).parent / "recorded_runs.json"


def judge(figures: Sequence[float]) -> Comparison:
    return compare(figures, minimum_effect=0.05)


def gaussian(source: random.Random) -> float:
    return source.gauss(0, 0.03)


def heavy(source: random.Random) -> float:
    """Student's t with two degrees of freedom: no variance at all."""
    return 0.02 * source.gauss(0, 1) / math.sqrt(source.expovariate(1.0))


def bimodal(source: random.Random) -> float:
    return (0.3 if source.random() < 0.15 else 0.0) + source.gauss(0, 0.02)


def remembering(runs: int, source: random.Random) -> list[float]:
    state, series = 0.0, []
    for at in range(runs):
        state = 0.8 * state + source.gauss(0, 0.03)
        series.append(state + 0.5 * at / runs + source.gauss(0, 0.01))
    return series


@pytest.mark.parametrize("noise", [gaussian, heavy, bimodal])
def test_false_alarms_and_power_under_noise_of_every_kind(
    noise: Callable[[random.Random], float],
) -> None:
    """Equal settings fail in fewer than 1 % of 600, and a true 10 % is found or left open in 90."""
    source = random.Random(1)
    found = judged(([noise(source) for _ in range(4 * BLOCKS)] for _ in range(600)), judge)
    assert found.false_alarms < 0.01
    assert found.overlooked < 0.1


def test_noise_that_remembers_and_drifts() -> None:
    source = random.Random(1)
    found = judged((remembering(4 * BLOCKS, source) for _ in range(600)), judge)
    assert found.false_alarms < 0.01
    assert found.overlooked < 0.01


def test_a_true_effect_is_found_where_noise_allows() -> None:
    source = random.Random(1)
    quiet = judged(([source.gauss(0, 0.02) for _ in range(32)] for _ in range(200)), judge)
    assert quiet.found > 0.9


@pytest.mark.parametrize("metric", ["ttft.p50", "ttft.p95", "itl.p50", "e2e.p50", "throughput"])
def test_runs_recorded_on_a_busy_machine(metric: str) -> None:
    """Every stretch of 32 successive runs of one setting, at least 200 of them."""
    logs = [math.log(figure) for figure in json.loads(RECORDED.read_text())[metric]]
    size = 4 * BLOCKS
    stretches = [logs[begin : begin + size] for begin in range(len(logs) - size + 1)]
    assert len(stretches) >= 200
    found = judged(stretches, judge)
    assert found.false_alarms < 0.01
    assert found.found + (1 - found.found - found.overlooked) >= 0.9


def figures(effect: float, noise: float, seed: int = 1) -> list[float]:
    source = random.Random(seed)
    return [
        100 * math.exp(source.gauss(0, noise) + math.log1p(effect) * (arm == "B"))
        for arm in order(BLOCKS)
    ]


def test_the_measured_effect_is_taken_out_before_it_is_replayed() -> None:
    large = worth(figures(0.5, 0.02), minimum_effect=0.05)
    none = worth(figures(0.0, 0.02), minimum_effect=0.05)
    assert large == none
    assert large.false_alarms == 0
    assert large.found > 0.9
    taken = blocks_of(figures(0.5, 0.02))
    assert len(taken) == BLOCKS
    assert {len(block) for block in taken} == {4}


def test_noise_costs_power_never_truth() -> None:
    loud = worth(figures(0.0, 0.2), minimum_effect=0.05)
    assert loud.found < 0.5
    assert loud.overlooked < 0.1


def test_where_smaller_is_worse_the_effect_takes_away() -> None:
    found = worth(figures(0.0, 0.01), minimum_effect=0.05, larger_is_worse=False)
    assert found.effect == pytest.approx(-1 / 11)
    assert found.found > 0.9


@pytest.mark.parametrize("minimum", [0.01, 0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("larger_is_worse", [True, False])
def test_the_true_effect_is_one_that_must_not_pass(
    minimum: float, *, larger_is_worse: bool
) -> None:
    """An effect below the minimum passes rightly: to replay it would tell nothing."""
    true = effect_for(minimum, larger_is_worse=larger_is_worse)
    assert true >= EFFECT
    assert (true if larger_is_worse else true / (1 + true)) > minimum
    found = worth(
        figures(0, 0.01), minimum_effect=minimum, larger_is_worse=larger_is_worse, effect=true
    )
    assert found.found > 0.9
    assert effect_for(0.05, larger_is_worse=larger_is_worse) == EFFECT


def test_the_same_seed_replays_the_same() -> None:
    one, two = (worth(figures(0, 0.05), minimum_effect=0.05, seed=s) for s in (1, 1))
    assert one == two


def test_no_replay_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        worth(figures(0, 0.05), minimum_effect=0.05, replays=0)
