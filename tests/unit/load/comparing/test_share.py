from __future__ import annotations

import random

import pytest

from harness.evidence import Verdict
from harness.load.comparing.compare import Run
from harness.load.comparing.share import EXPLAINED, SHARED, by_ledger, judge, limits_of, shares
from harness.load.goodput import Met, objectives
from harness.statistics import order

ADDED = {"ttft": 12.0, "itl": 0.0, "e2e": 15.0}


def met(source: random.Random, added: float, drift: float) -> Met:
    def taken(base: float, more: float) -> float:
        return base + drift + added * more + source.gauss(0, base / 100)

    return Met(
        whole=True,
        why="",
        queue_ms=0.0,
        ttft_ms=taken(100, ADDED["ttft"]),
        itl_ms=taken(20, ADDED["itl"]),
        e2e_ms=taken(700, ADDED["e2e"]),
        tokens=30,
    )


def runs(blocks: int, *, seed: int = 1, excuse: str = "", broken: int = 0) -> list[Run]:
    """Direct and through a gateway, while the machine gets slower all the time."""
    source = random.Random(seed)
    found = []
    for number, arm in enumerate(order(blocks)):
        mets = [met(source, arm == "B", drift=number) for _ in range(40)]
        mets += [Met(whole=False, why="reset") for _ in range(broken)]
        found.append(Run(arm="A" if arm == "A" else "B", mets=tuple(mets), excuse=excuse))
    return found


def test_the_share_is_what_was_added_and_no_drift_of_the_machine() -> None:
    ttft, itl, e2e = shares(runs(8))

    assert ttft.added_ms == pytest.approx(12, abs=1)
    assert itl.added_ms == pytest.approx(0, abs=0.5)
    assert e2e.added_ms == pytest.approx(15, abs=3)
    assert ttft.low_ms is not None
    assert ttft.high_ms is not None
    assert ttft.low_ms < 12 < ttft.high_ms < 15
    assert (ttft.blocks, ttft.why) == (8, "")
    assert ttft.direct_ms is not None
    assert ttft.direct_ms > 100


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(60):
        interval = shares(runs(4, seed=seed))[0].interval
        covered += interval is not None and interval[0] <= 12 <= interval[1]

    assert covered >= 51  # of 60 at 95 %: fewer come once in ten thousand times


@pytest.mark.parametrize(
    ("limit", "verdict", "reason"),
    [
        ("ttft < 40ms", Verdict.PASS, ""),
        ("ttft < 2ms", Verdict.FAIL, "the whole interval lies above 2 ms"),
        ("ttft < 12ms", Verdict.INCONCLUSIVE, "the interval straddles 12 ms: measure more blocks"),
    ],
)
def test_a_limit_is_held_against_the_whole_interval(
    limit: str, verdict: Verdict, reason: str
) -> None:
    found = judge(
        shares(runs(6)), subject="gateway:m", limits=limits_of(objectives(limit)), engine="real"
    )

    assert [each.check for each in found] == [f"load.share.{metric}" for metric in SHARED]
    assert (found[0].verdict, found[0].reason) == (verdict, reason)
    assert (found[0].unit, found[0].n, found[0].engine) == ("ms", 6, "real")
    assert found[1].asked == "what the gateway adds to the gap between tokens (ITL) is measured"
    assert {each.check for each in found} <= set(EXPLAINED)


@pytest.mark.parametrize("limits", ["", "ttft < 40ms", "ttft < 2ms"])
def test_a_doubtful_client_and_broken_answers_are_never_a_verdict(limits: str) -> None:
    bounds = limits_of(objectives(limits)) if limits else {}

    saturated = judge(shares(runs(4, excuse="loop lag")), subject="m", limits=bounds)
    broken = judge(shares(runs(4, broken=2)), subject="m", limits=bounds)

    assert {each.verdict for each in (*saturated, *broken)} == {Verdict.INCONCLUSIVE}
    assert saturated[0].reason == "loop lag"
    assert broken[0].reason == "32 answers were not whole: the slowest may be missing"


def test_two_blocks_give_no_interval_and_no_answers_give_no_figure() -> None:
    few = judge(shares(runs(2)), subject="m")
    silent = [Run(arm=run.arm, mets=(Met(whole=False, why="refused"),)) for run in runs(3)]

    assert few[0].verdict is Verdict.INCONCLUSIVE
    assert few[0].reason == "2 are too few for an interval"
    assert judge(shares(silent), subject="m")[0].verdict is Verdict.NOT_RUN


def test_runs_that_fill_no_block_are_left_out_and_none_at_all_is_refused() -> None:
    assert shares(runs(4)[:-1])[0].blocks == 3
    with pytest.raises(ValueError, match="nothing is paired"):
        shares(runs(1)[:3])
    with pytest.raises(ValueError, match="nothing is paired"):
        shares(runs(1)[::-1][:2] * 2)


def test_a_ledger_tells_the_share_of_single_answers() -> None:
    kept = by_ledger([float(n) for n in range(100)], 0, subject="m", limit_ms=90)
    lost = by_ledger([float(n) for n in range(100)], 3, subject="m", limit_ms=90)

    assert (kept.verdict, kept.value, kept.n) == (Verdict.PASS, 49.5, 100)
    assert lost.verdict is Verdict.INCONCLUSIVE
    assert lost.reason == "3 of 103 answers are not in the ledger"
    assert by_ledger([], 5, subject="m").verdict is Verdict.NOT_RUN


@pytest.mark.parametrize("text", ["p95 ttft < 2ms", "queue < 2ms"])
def test_only_shares_that_are_told_can_be_limited(text: str) -> None:
    with pytest.raises(ValueError, match="write 'ttft < 20ms'"):
        limits_of(objectives(text))
