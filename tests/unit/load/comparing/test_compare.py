from __future__ import annotations

import math
import random
from dataclasses import replace
from heapq import heapify, heappop, heappush
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest

from harness.evidence import Verdict
from harness.load.comparing.compare import (
    METRICS,
    Compared,
    Run,
    _checked,
    judge,
    throughput,
)
from harness.load.comparing.replay import Worth
from harness.load.goodput import Met
from harness.load.workload.arrival import staggered
from harness.statistics import compare, order

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
        made.append(Run(arm=side, mets=mets, users=1, spans_ns=one_after_another(mets)))
    return made


def one_after_another(mets: tuple[Met, ...]) -> tuple[tuple[int, int], ...]:
    """When each was due and had ended, of one user; one that failed took 0.4 s."""
    times = [round((met.e2e_ms or 400) * 1e6) for met in mets]
    ends = list(accumulate(times))
    return tuple((end - time, end) for time, end in zip(times, ends, strict=True))


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
    """Noise that lets one true effect in five pass: the replays say so."""
    passed = compare([100 + at % 3 for at in range(32)], minimum_effect=0.05)
    assert passed.verdict is Verdict.PASS
    worth = Worth(replays=200, false_alarms=0, equal_open=0.1, found=0.5, overlooked=0.2)
    found = _checked("ttft.p50", {"A": [101.0], "B": [101.0]}, passed, worth)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "of true +10% would pass too" in found.reason


@pytest.mark.parametrize("interleaved", [True, False])
def test_a_large_minimum_is_replayed_with_a_larger_effect(*, interleaved: bool) -> None:
    """A minimum of 20 % lets a true 10 % pass, rightly: what is overlooked is a true 40 %."""
    made = runs() if interleaved else [record("A", 0, 1), record("B", 0, 2)]
    found = judge(made, minimum_effect=0.2)
    assert found.interleaved == interleaved
    assert found.verdict is Verdict.PASS, found.why
    of = {one.metric: one.worth.effect for one in found.compared if one.worth is not None}
    assert of["ttft.p50"] == pytest.approx(0.4)
    assert of["throughput"] == pytest.approx(1 / 1.4 - 1)


def closed_loop(arm: Arm, answer_s: float, seed: int, *, users: int, run_s: float) -> Run:
    """What was due in a run of users who began within a quarter of it, in virtual time."""
    source, warm_s = random.Random(f"{seed}/{arm}"), run_s / 4
    spans = []
    for at_s in staggered(users, warm_s, seed=seed):
        while at_s < warm_s + run_s:
            ended_s = at_s + answer_s * (1 + source.gauss(0, 0.01))
            if at_s >= warm_s:
                spans.append((round(at_s * 1e9), round(ended_s * 1e9)))
            at_s = ended_s  # noqa: PLW2901 - the next one is due
    answer = Met(whole=True, why="", due_ttft_ms=1.0, tokens=200)
    return Run(arm=arm, mets=(answer,) * len(spans), users=users, spans_ns=tuple(sorted(spans)))


@pytest.mark.parametrize(
    ("answer_s", "longer", "verdict"),
    [(7.0, 0.10, Verdict.FAIL), (8.0, 0.03, Verdict.PASS), (3.6, 0.10, Verdict.FAIL)],
)
def test_answers_as_long_as_a_run_hide_and_double_nothing(
    answer_s: float, longer: float, verdict: Verdict
) -> None:
    """Those due within 8 s are a count of rounds: equal in A and B, or one more for everybody."""
    long_s = {"A": answer_s, "B": answer_s * (1 + longer)}
    made = [
        closed_loop("A" if arm == "A" else "B", long_s[arm], at // 4, users=16, run_s=8)
        for at, arm in enumerate(order(8))
    ]
    (found,) = judge(made, minimum_effect=0.05, metrics=["throughput"]).compared
    assert found.effect == pytest.approx(1 / (1 + longer) - 1, abs=0.005)
    assert found.verdict is verdict, found.reason
    assert found.a == pytest.approx(16 * 200 / answer_s, rel=0.01)


def test_a_request_that_failed_took_its_time() -> None:
    whole = Met(whole=True, why="", tokens=30)
    spans = ((0, 10**9), (10**9, 3 * 10**9))
    both = Run(arm="A", mets=(whole, whole), users=4, spans_ns=spans)
    half = Run(arm="A", mets=(whole, Met(whole=False, why="cut")), users=4, spans_ns=spans)
    assert (throughput(both), throughput(half)) == (80, 40)


def test_requests_that_came_by_a_schedule_have_no_throughput() -> None:
    made = [replace(run, users=None) for run in runs()]
    found = judge(made, minimum_effect=0.05)
    assert [one.metric for one in found.compared] == [m for m in METRICS if m != "throughput"]
    assert found.left_out.startswith("throughput is left out")
    assert found.to_json()["left_out"] == found.left_out
    assert judge(runs(), minimum_effect=0.05, replays=20).left_out == ""
    with pytest.raises(ValueError, match="by a schedule"):
        judge(made, minimum_effect=0.05, metrics=["throughput"])


def wandering(arm: Arm, source: random.Random, *, slow: float = 1.0, sd: float = 0.35) -> Run:
    """Eight users for 240 s on a machine whose speed wanders, as stolen time makes it."""
    speeds, state = [], source.gauss(0, 1)
    for _ in range(300):
        speeds.append(math.exp(sd * state))
        state = 0.98 * state + 0.2 * source.gauss(0, 1)
    users = [source.uniform(0, 2) for _ in range(8)]
    heapify(users)
    spans = []
    while (at_s := heappop(users)) < 240:
        ended_s = at_s + 1.5 * slow * speeds[int(at_s)] * math.exp(source.gauss(0, 0.1))
        spans.append((round(at_s * 1e9), round(ended_s * 1e9)))
        heappush(users, ended_s)
    answer = Met(whole=True, why="", due_ttft_ms=100.0, tokens=100)
    return Run(arm=arm, mets=(answer,) * len(spans), users=8, spans_ns=tuple(spans))


def test_two_records_of_a_machine_that_wanders_are_left_open() -> None:
    """Windows of equally many requests have one rate, and an interval of nothing: 3 of 12 fail."""
    source = random.Random(1)
    said = [
        judge(
            [wandering("A", source), wandering("B", source)],
            minimum_effect=0.05,
            metrics=["throughput"],
        ).verdict
        for _ in range(12)
    ]
    assert said.count(Verdict.FAIL) <= 1
    assert said.count(Verdict.INCONCLUSIVE) > 8


def test_two_records_of_a_quiet_machine_are_told_apart_by_what_was_received() -> None:
    source = random.Random(1)
    (found,) = judge(
        [wandering("A", source, sd=0.0), wandering("B", source, sd=0.0, slow=1.2)],
        minimum_effect=0.05,
        metrics=["throughput"],
    ).compared
    assert found.verdict is Verdict.FAIL
    assert found.effect == pytest.approx(-1 / 6, abs=0.02)


def test_failures_are_a_metric_of_their_own() -> None:
    broken = judge(runs(failed=lambda arm, at: arm == "B" and at % 5 == 0), minimum_effect=0.05)
    failures = by_name(broken.compared)["failures"]
    assert (failures.verdict, failures.a, failures.b) == (Verdict.FAIL, 0, 0.2)
    assert broken.verdict is Verdict.FAIL
    few = runs(plan=order(3), failed=lambda _, __: False)
    shorter = [Run(arm=run.arm, mets=run.mets[:5]) for run in few]
    left = judge(shorter, minimum_effect=0.05, metrics=["failures"])
    assert left.verdict is Verdict.INCONCLUSIVE
    assert "measure more of them" in left.why


def test_a_saturated_client_proves_nothing() -> None:
    made = runs()
    made[3] = replace(made[3], excuse="client saturated: …")
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
    return Run(arm=arm, mets=mets, users=1, spans_ns=one_after_another(mets))


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
