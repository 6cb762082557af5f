from __future__ import annotations

from dataclasses import replace

from harness.evidence import Verdict
from harness.load.finding.knee import knee
from harness.load.finding.level import Visit

SEEN = Visit(
    level=1,
    verdict=Verdict.PASS,
    why="",
    kept=(),
    requests=100,
    failed=0,
    seconds=10,
    took_s=10,
    per_s=1,
    good_per_s=1,
    good_low_per_s=1,
    good_high_per_s=1,
    tokens_per_s=1,
    e2e_ms=1,
    e2e_error_ms=0,
)


def mm1(rate: float, *, error: float = 0.0) -> Visit:
    """Capacity 100 a second: the mean time in the system is 1 / (100 - rate)."""
    mean_ms = 1000 / (100 - rate)
    return replace(SEEN, level=rate, per_s=rate, e2e_ms=mean_ms, e2e_error_ms=error * mean_ms)


def test_a_single_queue_has_it_at_half_its_capacity() -> None:
    found = knee(mm1(rate) for rate in (90, 10, 30, 50, 70))
    assert found is not None
    assert (found.low, found.level, found.high) == (30, 50, 70)


def test_levels_that_cannot_be_told_apart_widen_it() -> None:
    found = knee(mm1(rate, error=0.1) for rate in (10, 30, 50, 70, 90))
    assert found is not None
    assert (found.low, found.level, found.high) == (10, 50, 90)


def test_it_may_lie_beyond_what_was_measured() -> None:
    found = knee(mm1(rate) for rate in (10, 20, 30))
    assert found is not None
    assert (found.level, found.high) == (30, None)


def test_a_closed_loop_has_it_where_throughput_stops_growing() -> None:
    """Ten seats, a second each: more users only wait."""
    visits = [
        replace(SEEN, level=n, per_s=min(n, 10), e2e_ms=1000 * max(1.0, n / 10))
        for n in (1, 2, 5, 8, 10, 16, 32)
    ]
    found = knee(visits)
    assert found is not None
    assert (found.low, found.level, found.high) == (8, 10, 16)


def test_two_levels_have_none() -> None:
    assert knee([mm1(10), mm1(20), mm1(20)]) is None
