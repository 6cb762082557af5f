from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from harness.cli import explanations
from harness.evidence import Verdict
from harness.load.trust import (
    EXPLAINED,
    Errors,
    Figure,
    Limits,
    Safe,
    Signs,
    Trusted,
    believable,
    judge,
    together,
)
from harness.statistics import Estimate
from harness.wire.engine import Lags

MS = 1_000_000
RATE = 50.0


def lags(*ms: float) -> Lags:
    found = Lags()
    for each in ms:
        found.add(round(each * MS))
    return found


def figure(off: float = 0.0, true_ms: float = 100.0) -> Figure:
    return Figure(true_ms * (1 + off), true_ms, 200, (off, off))


RIGHT = Errors(
    streams=64,
    rate=RATE,
    delivered=1.0,
    answers=200,
    lost=0,
    tokens=6000,
    merged=0,
    user_clock=0,
    ttft_p50=figure(),
    ttft_p99=figure(),
    itl_p50=figure(true_ms=20),
    itl_p99=figure(true_ms=20),
    ttft_error_p50=Estimate(0.01, 0.0, 0.02, 200),
    ttft_error_p99=Estimate(0.1, 0.05, None, 200),
    itl_error_p50=Estimate(0.0, 0.0, 0.0, 6000),
    itl_error_p99=Estimate(0.1, 0.0, 0.2, 6000),
    signs=Signs(),
)
CALM = Signs(
    loop_lag=lags(0.1), dispatch_lag=lags(0.1), receive_lag=lags(0.1), cpu_s=1.0, seconds=10.0
)


def verdict(before: Any = RIGHT, during: Any = RIGHT, signs: Any = CALM, **more: Any) -> Trusted:
    return judge(before, during, signs, rate=RATE, **more)


def test_a_client_against_which_nothing_speaks_is_believed() -> None:
    found = verdict()
    assert found.verdict is Verdict.PASS
    assert found.why == ()
    assert {row.verdict for row in found.evidence} == {Verdict.PASS}


WRONG: dict[str, dict[str, Any]] = {
    "ttft.p50": {"ttft_p50": figure(0.02)},
    "ttft.p99": {"ttft_p99": figure(0.06)},
    "itl.p50": {"itl_p50": figure(-0.02, 20)},
    "itl-error.p99": {"itl_error_p99": Estimate(6.0, 5.0, 7.0, 6000)},
    "merged": {"merged": 600},
}


@pytest.mark.parametrize("phase", ["before", "during"])
@pytest.mark.parametrize("name", WRONG)
def test_each_error_makes_the_run_inconclusive(name: str, phase: str) -> None:
    found = verdict(**{phase: replace(RIGHT, **WRONG[name])})
    bad = [row for row in found.evidence if row.verdict is not Verdict.PASS]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert [(row.check, row.subject) for row in bad] == [(f"load.client.{name}", f"client:{phase}")]
    assert bad[0].reason.startswith("client saturated: ")
    assert "add processes" in bad[0].reason
    assert believable(replace(RIGHT, **WRONG[name])) is False
    assert believable(RIGHT) is True


SICK: dict[str, dict[str, Any]] = {
    "loop-lag": {"loop_lag": lags(*[16.0] * 9)},
    "dispatch-lag": {"dispatch_lag": lags(*[120.0] * 9)},
    "receive-lag": {"receive_lag": lags(*[16.0] * 9)},
    "cpu": {"cpu_s": 9.9},
}


@pytest.mark.parametrize("name", SICK)
def test_each_sign_makes_the_run_inconclusive(name: str) -> None:
    found = verdict(signs=replace(CALM, **SICK[name]))
    bad = [row.check for row in found.evidence if row.verdict is not Verdict.PASS]
    assert bad == [f"load.client.{name}"]
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_client_with_its_own_stamps_may_be_less_late() -> None:
    slow = replace(CALM, loop_lag=lags(8.0))
    assert verdict(signs=slow).verdict is Verdict.PASS
    own = replace(RIGHT, user_clock=200)
    assert verdict(before=own, signs=slow).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("missing", ["before", "during", "signs"])
def test_what_was_not_measured_is_never_green(missing: str) -> None:
    found = verdict(**{missing: None}, why_not="the server did not start")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.why == ("not measured: the server did not start",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answers": 2}, "2 whole reference answers"),
        ({"lost": 1}, "1 of 200 reference answers were not read whole"),
        ({"delivered": 0.5}, "sent only 50% of the rate"),
    ],
)
def test_a_reference_that_says_too_little_is_named(change: dict[str, Any], said: str) -> None:
    found = verdict(before=replace(RIGHT, **change))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert said in found.why[0]
    assert "saturated" not in found.why[0]
    assert believable(replace(RIGHT, **change)) is None


def test_the_99th_percentile_of_few_answers_is_told_and_not_limited() -> None:
    few = replace(RIGHT, answers=50, ttft_p99=figure(0.3))
    found = verdict(during=few)
    assert found.verdict is Verdict.PASS
    told = [row for row in found.evidence if row.check.endswith("ttft.p99")][-1]
    assert told.bound is None
    assert told.value == pytest.approx(30)
    assert verdict(during=few, limits=Limits(p99_answers=50)).verdict is Verdict.INCONCLUSIVE


def test_no_evidence_at_all_is_no_pass() -> None:
    assert Trusted(evidence=()).verdict is Verdict.INCONCLUSIVE


def safe(streams: int, above: int | None) -> Safe:
    return Safe(streams=streams, above=above, rate=RATE, at_unix_s=0.0, inputs="here")


def test_the_remedy_names_the_streams_that_are_safe() -> None:
    found = verdict(before=replace(RIGHT, ttft_p50=figure(0.5)), safe=safe(48, 64))
    assert "48 streams of 50 tokens/s a process" in found.why[0]
    row = found.evidence[-1]
    assert (row.check, row.value, row.interval) == ("load.client.safe-streams", 48, (48, 64))
    assert verdict(safe=safe(64, None)).evidence[-1].interval == (64, math.inf)


def test_the_remedy_tells_a_client_that_was_right_alone() -> None:
    found = verdict(during=replace(RIGHT, merged=RIGHT.tokens), safe=safe(64, 128))
    assert f"alone it carried {RIGHT.streams} streams" in found.why[0]
    assert "this machine carries" not in found.why[0]


def test_one_worker_that_is_not_believed_spoils_the_whole() -> None:
    good = verdict(name="worker-0")
    bad = verdict(name="worker-1", before=None)
    assert together([good]).verdict is Verdict.PASS
    assert together([good, bad]).verdict is Verdict.INCONCLUSIVE
    assert len(together([good, bad]).evidence) == len(good.evidence) + len(bad.evidence)


def test_every_row_carries_a_unit_and_can_be_explained() -> None:
    found = verdict(safe=safe(48, 64))
    checks = {row.check for row in found.evidence}
    assert checks == set(EXPLAINED)
    assert all(row.unit for row in found.evidence)
    assert all(len(text.split("\n\n")) == 3 for text in EXPLAINED.values())


def test_a_person_reads_value_interval_limit_and_reason_of_each() -> None:
    found = verdict(before=replace(RIGHT, ttft_p50=figure(0.5)))
    line = next(line for line in found.lines() if "load.client.ttft.p50" in line)
    assert "50 %" in line
    assert "[50, 50]" in line
    assert "limit 1" in line
    assert "150 ms for a true 100" in line


def test_the_summary_names_the_worst_of_each() -> None:
    found = verdict(during=replace(RIGHT, ttft_p50=figure(-0.004)), safe=safe(48, 64))
    assert found.summary().startswith("TTFT p50 -0.40 %, p99 +0.00 %, ITL p50 +0.00 %")
    assert found.summary().endswith("10 % of a core, 48 streams a process are safe")
    assert verdict(None, None, None).summary() == "the client was not measured"


def test_a_person_can_have_each_explained() -> None:
    assert all(explanations.explained(name) for name in EXPLAINED)
