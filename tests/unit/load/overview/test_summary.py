from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from harness.load.goodput import Met, objectives
from harness.load.journal.rows import Row
from harness.load.overview import summary as summed
from harness.load.overview import thinned
from harness.load.overview.summary import Shares, Summary
from harness.statistics import bounding_ranks, memory_at, quantile, share


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
    few = summary(*(row(n, ttft_ms=10.0 + n) for n in range(5)))
    figure = few.figure("chat", "ttft", 0.5)
    assert figure is not None
    assert (figure.low, figure.high) == (None, None)
    assert str(figure) == "12 [-, -]"


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_a_bound_is_the_sample_of_its_rank(q: float) -> None:
    """A rank by a number of samples, times it, is a little more than the rank for some."""
    for n in (25, 79, 137, 142, 166, 270):
        times = [100 * 1.01 ** ((number * 19) % n) for number in range(n)]
        found = summary(*(row(k, ttft_ms=ms) for k, ms in enumerate(times))).figure(
            "chat", "ttft", q
        )
        ranks = bounding_ranks(n, q, correlation=memory_at(times, q))
        assert found is not None
        for bound, rank in zip((found.low, found.high), ranks, strict=True):
            exact = None if rank is None else sorted(times)[rank - 1]
            assert bound == (exact if exact is None else pytest.approx(exact, rel=0.002))


def queue(n: int, seed: int) -> list[float]:
    """Times whose median is 100, each much like the one before."""
    source = random.Random(seed)
    state, times = source.gauss(0, 1), []
    for _ in range(n):
        times.append(100 * math.exp(0.5 * state))
        state = 0.9 * state + 0.19**0.5 * source.gauss(0, 1)
    return times


def test_the_interval_of_a_queue_covers_what_it_says() -> None:
    """Taken as independent, the same requests cover it in less than half of all runs."""
    held = independent = bounded = 0
    for seed in range(60):
        times = queue(400, seed)
        figure = summary(*(row(n, ttft_ms=ms) for n, ms in enumerate(times))).figure(
            "chat", "ttft", 0.5
        )
        narrow = quantile(times, 0.5)
        assert figure is not None
        assert narrow.low is not None
        assert narrow.high is not None
        independent += narrow.low <= 100 <= narrow.high
        if figure.low is not None and figure.high is not None:
            bounded += 1
            held += figure.low <= 100 <= figure.high
    assert independent < 36
    assert bounded > 50
    assert held > 0.85 * bounded


def test_requests_are_never_worth_more_than_the_values_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = random.Random(1)
    times = [source.lognormvariate(3, 0.5) for _ in range(2000)]
    rows = [row(n, ttft_ms=ms) for n, ms in enumerate(times)]
    whole = summary(*rows).figure("chat", "ttft", 0.5)
    monkeypatch.setattr(thinned, "_MOST_KEPT", 100)
    few = summary(*rows).figure("chat", "ttft", 0.5)
    assert whole is not None
    assert few is not None
    assert None not in {whole.low, whole.high, few.low, few.high}
    assert few.n == whole.n == 2000
    assert few.high - few.low > 2 * (whole.high - whole.low)  # type: ignore[operator]


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
        line.startswith("chat: 20 requests, failures: none; goodput 100.0% [83.2%, 100.0%]")
        for line in lines
    )
    assert any("1 reset; goodput 0.0% [0.0%, 97.5%]" in line for line in lines)


def test_goodput_is_by_the_time_until_the_last_answer_had_ended() -> None:
    """Two rounds of answers of 5 s, the last due at 5 s: 64 answers in 10 s are 6.4 a second."""
    rows = [
        replace(row(0), due_unix_ns=at * 5 * 10**9, ended_unix_ns=(at + 1) * 5 * 10**9)
        for at in (0, 1)
        for _ in range(32)
    ]
    found = summary(*rows)
    assert found.seconds == 10
    assert ", 6.40/s over 10 s at 'ttft < 100ms'" in found.lines(slo="ttft < 100ms")[-1]


def test_several_levels_of_load_are_said_to_widen_the_intervals() -> None:
    rows = [row(n) for n in range(4)]
    assert "the load changed" not in "".join(summary(*rows).lines(slo="ttft < 100ms"))
    rows[2] = replace(rows[2], load=2.0)
    assert summary(*rows).lines(slo="ttft < 100ms")[-1].startswith("the load changed on the way")


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
    found = shares.share()
    assert found.value == pytest.approx(0.9, abs=0.001)
    assert found.low < 0.9 < found.high


def shared(held: list[bool]) -> Shares:
    shares = Shares()
    for good in held:
        shares.add(good=good)
    return shares


def test_a_share_of_few_is_told_too() -> None:
    found = shared([True, False]).share()
    assert found.value == 0.5
    assert found.high - found.low > 0.9


def test_a_share_of_all_is_only_as_sure_as_its_number() -> None:
    assert shared([True] * 10).share().low == pytest.approx(0.025 ** (1 / 10))
    assert shared([False] * 10).share().high == pytest.approx(1 - 0.025 ** (1 / 10))
    with pytest.raises(ValueError, match="at least one"):
        Shares().share()


def test_a_share_is_that_of_all_its_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """From means of groups as from the samples themselves: failures in bursts make it less sure."""
    bursts = [number % 100 >= 10 for number in range(4000)]
    apart = [number % 10 > 0 for number in range(4000)]
    whole, exact = shared(bursts).share(), share(bursts)
    assert (whole.low, whole.high) == pytest.approx((exact.low, exact.high))
    assert whole.effective < 0.25 * shared(apart).share().effective
    monkeypatch.setattr(summed, "_MOST_GROUPS", 256)
    assert shared(bursts).share().effective == pytest.approx(whole.effective, rel=0.5)
