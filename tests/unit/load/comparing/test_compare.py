from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from harness.evidence import Verdict
from harness.load.comparing.compare import METRICS, Compared, Run, judge
from harness.load.goodput import Met
from harness.statistics import order

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.comparing.compare import Arm


def met(ttft: float, *, whole: bool = True) -> Met:
    if not whole:
        return Met(whole=False, why="cut short")
    return Met(whole=True, why="", ttft_ms=ttft, itl_ms=ttft / 10, e2e_ms=ttft * 4, tokens=16)


def runs(
    effect: float = 0.0,
    *,
    plan: str = order(8),
    noise: float = 0.02,
    failed: Callable[[str, int], bool] = lambda _, __: False,
    seed: int = 1,
) -> list[Run]:
    source = random.Random(seed)
    made = []
    for arm in plan:
        slow = math.exp(source.gauss(0, noise)) * (1 + effect * (arm == "B"))
        mets = tuple(
            met(100 * slow * source.uniform(0.9, 1.1), whole=not failed(arm, at))
            for at in range(40)
        )
        side: Arm = "A" if arm == "A" else "B"
        made.append(Run(arm=side, mets=mets, seconds=4 * slow))
    return made


def by_name(compared: tuple[Compared, ...]) -> dict[str, Compared]:
    return {one.metric: one for one in compared}


def test_equal_targets_pass_in_every_metric_and_the_worth_is_stated() -> None:
    found = judge(runs(), minimum_effect=0.05)
    assert (found.verdict, found.why, found.interleaved) == (Verdict.PASS, "", True)
    assert [one.metric for one in found.compared] == list(METRICS)
    worth = by_name(found.compared)["ttft.p50"].worth
    assert worth is not None
    assert worth.replays >= 200
    assert worth.false_alarms < 0.01
    assert worth.found + worth.overlooked <= 1
    assert worth.overlooked <= 0.1


@pytest.mark.parametrize("effect", [0.0, 0.5])
def test_where_runs_are_missing_the_figures_stand_and_the_whole_is_open(effect: float) -> None:
    why = "interrupted: 8 of 9 blocks were measured"
    found = judge(runs(effect), minimum_effect=0.05, partial=why)
    assert (found.verdict, found.why, found.partial) == (Verdict.INCONCLUSIVE, why, why)
    assert by_name(found.compared)["ttft.p50"].verdict is (Verdict.FAIL if effect else Verdict.PASS)


def test_a_slower_b_fails_and_says_where() -> None:
    found = judge(runs(0.2), minimum_effect=0.05)
    assert found.verdict is Verdict.FAIL
    assert found.why.startswith("ttft.p50: the effect lies between")
    throughput = by_name(found.compared)["throughput"]
    assert throughput.effect == pytest.approx(-1 / 6, abs=0.03)
    assert throughput.verdict is Verdict.FAIL


def test_a_faster_b_passes() -> None:
    assert judge(runs(-0.2), minimum_effect=0.05).verdict is Verdict.PASS


def test_noise_is_inconclusive_not_a_verdict() -> None:
    found = judge(runs(0.05, noise=0.2), minimum_effect=0.05)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "measure more blocks" in found.why


def test_a_pass_that_would_overlook_true_effects_is_none() -> None:
    """A minimum of 20 % lets every true 10 % pass: the replays say so."""
    found = judge(runs(), minimum_effect=0.2, metrics=["ttft.p50"])
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "of true +10% would pass too" in found.why


def test_failures_are_a_metric_of_their_own() -> None:
    broken = judge(runs(failed=lambda arm, at: arm == "B" and at % 5 == 0), minimum_effect=0.05)
    failures = by_name(broken.compared)["failures"]
    assert (failures.verdict, failures.a, failures.b) == (Verdict.FAIL, 0, 0.2)
    assert broken.verdict is Verdict.FAIL
    few = runs(plan=order(3), failed=lambda _, __: False)
    shorter = [Run(arm=run.arm, mets=run.mets[:5], seconds=1) for run in few]
    left = judge(shorter, minimum_effect=0.05, metrics=["failures"])
    assert left.verdict is Verdict.INCONCLUSIVE
    assert "measure more of them" in left.why


def test_a_saturated_client_proves_nothing() -> None:
    made = runs()
    made[3] = Run(arm=made[3].arm, mets=made[3].mets, seconds=4, excuse="client saturated: …")
    found = judge(made, minimum_effect=0.05)
    assert (found.verdict, found.why) == (Verdict.INCONCLUSIVE, "A: client saturated: …")


def test_a_run_without_a_whole_answer_is_no_figure() -> None:
    found = judge(runs(failed=lambda arm, _: arm == "B"), minimum_effect=0.05, metrics=["ttft.p50"])
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "16 of 32 runs have no ttft.p50" in found.why


def record(arm: Arm, effect: float, seed: int, *, drift: float = 0.0) -> Run:
    source = random.Random(seed)
    mets = tuple(
        met(100 * (1 + effect) * (1 + drift * at / 960) * source.uniform(0.7, 1.4))
        for at in range(960)
    )
    return Run(arm=arm, mets=mets, seconds=100)


def test_two_records_are_compared_window_by_window() -> None:
    metrics = ["ttft.p50", "e2e.p50"]
    same = judge([record("A", 0, 1), record("B", 0, 2)], minimum_effect=0.05, metrics=metrics)
    slower = judge([record("A", 0, 1), record("B", 0.2, 2)], minimum_effect=0.05, metrics=metrics)
    assert (same.verdict, slower.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert not same.interleaved
    worth = slower.compared[0].worth
    assert worth is not None
    assert worth.replays >= 200
    assert worth.false_alarms < 0.01


def test_records_that_drift_within_themselves_cannot_be_told_apart() -> None:
    """A rises by half from its begin to its end: what is 20 % to that?"""
    found = judge(
        [record("A", 0, 1, drift=0.5), record("B", 0.5, 2, drift=0.5)],
        minimum_effect=0.05,
        metrics=["ttft.p50"],
    )
    assert found.verdict is Verdict.INCONCLUSIVE


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="no metric 'speed'"):
        judge(runs(), minimum_effect=0.05, metrics=["speed"])
    with pytest.raises(ValueError, match="one side has no runs"):
        judge([run for run in runs() if run.arm == "A"], minimum_effect=0.05)
    with pytest.raises(ValueError, match="give a share"):
        judge(runs(), minimum_effect=0.05, more_failures=0)
