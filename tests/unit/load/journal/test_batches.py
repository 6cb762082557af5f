from __future__ import annotations

import io
import json

import pytest

from harness.load.goodput import Met
from harness.load.journal.batches import SHOWN, Batch, Failed, Read, read
from harness.load.journal.rows import Row, dump
from harness.statistics import Histogram
from harness.wire.engine import Lags


def row(number: int, *, whole: bool = True, name: str = "chat") -> Row:
    met = Met(whole=whole, why="because", ttft_ms=1.5 * number if whole else None, e2e_ms=9.0)
    return Row(
        due_unix_ns=number,
        ended_unix_ns=number + 7_000_000,
        number=number,
        name=name,
        load=1.0,
        worker="0",
        failure="" if whole else "truncated",
        met=met,
    )


def batch(*rows: Row, lags: Lags | None = None) -> Batch:
    made = Batch()
    for one in rows:
        made.add(one, 100 + one.number)
    made.receive_lag = lags
    return made


def through(data: bytes, block: int = 1 << 20) -> list[Read]:
    return list(read(io.BytesIO(data), block))


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_batches_come_out_as_they_went_in_however_they_are_cut(block: int) -> None:
    lags = Lags()
    lags.add(1000)
    lags.add(5000)
    data = batch(row(1), row(2)).dump() + batch().dump() + batch(row(3), lags=lags).dump()
    found = through(data, block)
    assert [[json.loads(line)["number"] for line in one.rows] for one in found] == [[1, 2], [], [3]]
    assert json.loads(found[0].rows[0]) == dump(row(1))
    assert [one.sizes for one in found] == [[101, 102], [], [103]]
    assert [one.receive_lag and one.receive_lag.counts for one in found] == [
        None,
        None,
        lags.counts,
    ]


def test_a_batch_that_is_cut_off_is_left_out() -> None:
    first, second = batch(row(1)).dump(), batch(row(2)).dump()
    for cut in (1, len(second) // 2, len(second) - 1):
        assert [one.sizes for one in through(first + second[:cut])] == [[101]]


def test_it_says_what_its_rows_come_to_by_name() -> None:
    (found,) = through(batch(row(1), row(2), row(4, name="code")).dump())
    times = {(one.name, one.which): one for one in found.times}
    assert set(times) == {
        (name, which) for name in ("chat", "code") for which in (SHOWN[0], SHOWN[3])
    }
    ttft = times["chat", "ttft_ms"]
    assert ttft.size == 203
    assert Histogram.load(ttft.us).total == 4500
    assert (ttft.us["least"], ttft.us["most"]) == (1500, 3000)


def test_answers_that_are_not_whole_are_named_one_by_one() -> None:
    (found,) = through(batch(row(1), row(2, whole=False)).dump())
    assert found.failed == [Failed("chat", 7.0, 102, "truncated: because")]
