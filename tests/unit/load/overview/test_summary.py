from __future__ import annotations

import random

import pytest

from harness.load.goodput import Met, objectives
from harness.load.journal.rows import Row
from harness.load.overview.summary import Shares, Summary, ranks
from harness.statistics import quantile


def row(number: int, *, ttft_ms: float = 10.0, failure: str = "", name: str = "chat") -> Row:
    whole = not failure
    return Row(
        due_unix_ns=number * 1_000_000_000,
        ended_unix_ns=number * 1_000_000_000 + 5,
        number=number,
        name=name,
        load=1.0,
        worker="0",
        failure=failure,
        met=Met(whole=True, why="", ttft_ms=ttft_ms, visible_ms=ttft_ms, tokens=2, chunks=2)
        if whole
        else Met(whole=False, why="no"),
    )


def summary(*rows: Row, slo: str = "ttft < 100ms") -> Summary:
    found = Summary(objectives(slo))
    for one in rows:
        found.add(one)
    return found


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_figures_are_those_of_the_samples(q: float) -> None:
    source = random.Random(1)
    times = [source.lognormvariate(3, 0.5) for _ in range(5000)]
    found = summary(*(row(n, ttft_ms=ms) for n, ms in enumerate(times))).figure("chat", "ttft", q)
    exact = quantile(times, q)
    assert found is not None
    assert found.n == 5000
    assert found.value == pytest.approx(exact.value, rel=0.005)
    assert found.low == pytest.approx(exact.low, rel=0.02)
    assert found.high == pytest.approx(exact.high, rel=0.02)


def test_too_few_samples_leave_a_bound_open() -> None:
    assert ranks(5, 0.5) == (None, None)
    assert ranks(50, 0.99)[1] is None
    low, high = ranks(1000, 0.5)
    assert low is not None
    assert high is not None
    assert low < 500 < high


def test_a_failure_has_no_times_and_is_never_good() -> None:
    found = summary(row(0), row(1, failure="error 429"), row(2, ttft_ms=500.0))
    group = found.groups["chat"]
    assert (found.n, found.failed) == (3, 1)
    assert group.failures == {"error 429": 1}
    assert group.shares.good == 1
    assert group.times["ttft"].n == 2


def test_the_table_tells_names_phases_failures_and_goodput() -> None:
    found = summary(*(row(n) for n in range(20)), row(20, failure="reset", name="other"))
    lines = found.lines(slo="ttft < 100ms")
    assert lines[0].split()[:2] == ["model", "phase"]
    assert any(line.startswith("chat") and "TTFT" in line and line.endswith("20") for line in lines)
    assert not any("VISIBLE" in line for line in lines), "it is the first token"
    assert any(
        line.startswith("chat: 20 requests, failures: none; goodput 100.0%") for line in lines
    )
    assert any("1 reset; goodput 0.0%" in line for line in lines)


def test_what_is_visible_later_is_told_apart() -> None:
    late = row(0)
    later = Row(**{**{f: getattr(late, f) for f in Row.__slots__}, "met": Met(
        whole=True, why="", ttft_ms=10.0, visible_ms=90.0, tokens=2, chunks=2
    )})  # fmt: skip
    assert any("VISIBLE" in line for line in summary(later).lines(slo="ttft < 100ms"))


def test_nothing_measured_is_no_error() -> None:
    assert len(summary().lines(slo="ttft < 100ms")) == 2


def test_memory_does_not_grow_with_requests() -> None:
    shares = Shares()
    for number in range(100_000):
        shares.add(good=number % 10 != 0)
    assert shares.good == 90_000
    assert len(shares._means) <= 4096
    found = shares.share(1)
    assert found.value == pytest.approx(0.9, abs=0.001)
    assert found.interval is not None


def test_a_share_of_few_is_told_too() -> None:
    shares = Shares()
    shares.add(good=True)
    shares.add(good=False)
    assert shares.share(1).value == 0.5
