from __future__ import annotations

import pytest

from harness.evidence import Evidence, Verdict
from harness.load.comparing.compare import METRICS, Run, judge
from harness.load.comparing.judged import evidence_of
from harness.load.goodput import Met
from harness.statistics import order


def records(*, worse: float, partial: str = "") -> dict[str, Evidence]:
    runs = []
    for number, arm in enumerate(order(8)):
        ms = (100 + number % 3) * (worse if arm == "B" else 1)
        met = Met(whole=True, why="", ttft_ms=ms, itl_ms=ms, e2e_ms=ms, tokens=9)
        runs.append(
            Run(
                arm="B" if arm == "B" else "A",
                mets=(met,) * 40,
                users=1,
                spans_ns=((0, round(ms * 1e6)),) * 40,
            )
        )
    judgement = judge(runs, minimum_effect=0.05, replays=200, partial=partial)
    found = evidence_of(judgement, subject="load:m", minimum=0.05, more_failures=0.02, seed=1)
    return {one.check.removeprefix("load.compare."): one for one in found}


def test_each_figure_is_a_record_with_effect_unit_blocks_and_interval() -> None:
    found = records(worse=1.3)

    assert list(found) == list(METRICS)
    ttft = found["ttft.p50"]
    assert (ttft.verdict, ttft.unit, ttft.n) == (Verdict.FAIL, "% more", 8)
    assert ttft.value == pytest.approx(30, abs=1)
    assert "98% interval +" in ttft.reason
    assert found["failures"].unit == "percentage points"


def test_where_blocks_are_missing_nothing_passes() -> None:
    found = records(worse=1.0, partial="interrupted: 3 of 8 blocks were measured")

    assert {one.verdict for one in found.values()} == {Verdict.INCONCLUSIVE}
    assert all(one.reason.startswith("interrupted: 3 of 8") for one in found.values())
