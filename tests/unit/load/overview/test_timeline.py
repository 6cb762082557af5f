from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.load.goodput import Met
from harness.load.journal.rows import Row
from harness.load.overview.timeline import LEAST_BINS, MOST_BINS, TAIL, Spread, timeline

S = 1_000_000_000


def row(due_s: float, *, e2e_s: float = 1.0, ttft_ms: float = 100.0, load: float = 1) -> Row:
    return Row(
        due_unix_ns=round(due_s * S),
        ended_unix_ns=round((due_s + e2e_s) * S),
        number=0,
        name="m",
        load=load,
        worker="0",
        met=Met(
            whole=True,
            why="",
            queue_ms=0.0,
            ttft_ms=ttft_ms,
            itl_ms=20.0,
            stall_ms=50.0,
            e2e_ms=e2e_s * 1000,
            tokens=10,
        ),
    )


def failed(due_s: float) -> Row:
    met = Met(whole=False, why="refused")
    ns = round(due_s * S)
    return Row(due_unix_ns=ns, ended_unix_ns=ns, number=0, name="m", load=1, worker="0", met=met)


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=8),
    st.integers(-20, 200),
    st.integers(0, 200),
)
def test_what_is_spread_within_the_edges_is_all_there(
    widths: list[int], begun: int, lasted: int
) -> None:
    edges = [0]
    for width in widths:
        edges.append(edges[-1] + width)
    spread = Spread(edges)

    spread.add(begun, begun + lasted, 6.0)

    if lasted:
        inside = max(0, min(begun + lasted, edges[-1]) - max(begun, 0))
        assert sum(spread.sums) == pytest.approx(6.0 * inside / lasted)
    else:
        assert sum(spread.sums) == (6.0 if 0 <= begun < edges[-1] else 0.0)


def test_an_amount_falls_where_its_time_falls() -> None:
    spread = Spread([0, 10 * S, 20 * S, 40 * S])

    spread.add(5 * S, 25 * S, 40.0)

    assert spread.sums == pytest.approx([10.0, 20.0, 10.0])
    assert spread.by_second() == pytest.approx([1.0, 2.0, 0.5])


def test_every_request_is_in_one_bin_and_every_token_in_one_second() -> None:
    rows = [row(number / 10) for number in range(600)] + [failed(30.05), failed(59.0)]

    bins = timeline(rows)

    assert sum(each.due for each in bins) == 602
    assert sum(each.failed for each in bins) == 2
    seconds = [(each.ended_unix_ns - each.begun_unix_ns) / S for each in bins]
    tokens = sum(each.tokens_per_s * span for each, span in zip(bins, seconds, strict=True))
    assert tokens == pytest.approx(6000)
    flown = sum(each.in_flight * span for each, span in zip(bins, seconds, strict=True))
    assert flown == pytest.approx(600)
    assert LEAST_BINS <= len(bins) <= MOST_BINS
    assert len(set(seconds[:-1])) == 1
    assert bins[-1].ended_unix_ns == max(each.ended_unix_ns for each in rows)


def test_latencies_stand_where_their_requests_were_due() -> None:
    rows = [row(second, ttft_ms=100 if second < 30 else 900) for second in range(60)]

    bins = timeline(rows, each=5)

    assert bins[0].ttft_p50_ms == pytest.approx(100, rel=1e-2)
    assert bins[0].itl_p50_ms == pytest.approx(20, rel=1e-2)
    assert next(b for b in bins if b.begun_unix_ns >= 35 * S).ttft_p50_ms == pytest.approx(
        900, rel=1e-2
    )


def test_a_tail_needs_enough_requests() -> None:
    few = timeline([row(0) for _ in range(TAIL - 1)])
    many = timeline([row(0) for _ in range(TAIL)])

    assert few[0].ttft_p95_ms is None
    assert few[0].ttft_p50_ms is not None
    assert many[0].ttft_p95_ms == pytest.approx(100, rel=1e-2)


def test_a_bin_without_requests_claims_no_latency() -> None:
    bins = timeline([row(0), row(59)])

    middle = bins[len(bins) // 2]
    assert (middle.due, middle.load, middle.ttft_p50_ms, middle.tokens_per_s) == (0, None, None, 0)


def test_the_load_of_a_bin_is_that_of_its_last_request_in_any_order() -> None:
    rows = [row(0.2, load=2), row(0.1, load=1), row(100, load=3)]

    assert [each.load for each in timeline(rows) if each.load is not None] == [2, 3]


def test_without_rows_there_is_no_time() -> None:
    assert timeline([]) == ()


def test_a_long_load_has_no_more_bins_than_a_drawing_can_show() -> None:
    assert len(timeline([row(hour * 3600) for hour in range(500)], each=1)) <= MOST_BINS + 1
