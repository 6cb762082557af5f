"""However long a run was, its workers' files are merged and summed up in the same memory."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from harness.load.goodput import objectives
from harness.load.journal import journal
from harness.load.journal.journal import Facts, Journal, Writer
from harness.load.overview import thinned
from harness.load.overview.overview import overview
from harness.load.overview.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_KB = 1 << 10
FEW, MANY = 400, 1_600
"""Requests of each worker; the first are as many as a chart has room for."""
WORKERS = ("a", "b")


def written(folder: Path, rows: int) -> Path:
    """A run of so many requests of each worker."""
    facts = Facts(
        profile="soak", seed=1, host="http://g.test/v1", engine="emulated",
        begun_unix_ns=0, workers=WORKERS,
    )  # fmt: skip
    journal.begin(folder, facts)
    source = random.Random(1)
    for place, worker in enumerate(WORKERS):
        with Writer(folder, worker=worker) as writer:
            writer.add_lines([line(number, place, source) for number in range(rows)])
    journal.finish(folder, facts, partial=None)
    return folder


def line(number: int, place: int, source: random.Random) -> bytes:
    ttft, e2e = source.choice([80.0, 100.0, 200.0]), source.choice([400.0, 500.0])
    due = number * 1_000_000_000 + place
    whole = number % 50 != 0
    times = {
        "ttft_ms": ttft, "visible_ms": ttft, "itl_ms": (e2e - ttft) / 10, "stall_ms": e2e - ttft,
        "tpot_ms": (e2e - ttft) / 10, "e2e_ms": e2e, "queue_ms": 0.1,
    }  # fmt: skip
    met = {"whole": whole, "why": f"because {number}", "tokens": 11, "chunks": 11, "merged": 0}
    said = {
        "due_unix_ns": due, "ended_unix_ns": due + round(e2e * 1e6), "number": number,
        "name": "chat", "load": 8.0, "labels": {"step": "0"}, "met": met | (times if whole else {}),
    }  # fmt: skip
    return json.dumps(said | ({} if whole else {"failure": "error 429"})).encode()


def summed(folder: Path) -> object:
    found = Summary(objectives("ttft < 500ms"))
    for row in Journal.read(folder).rows:
        found.add(row)
    return found


def peak(run: Callable[[Path], object], folder: Path) -> int:
    """Most bytes that it held at once, with what it returns."""
    tracemalloc.start()
    try:
        run(folder)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def listed(folder: Path) -> object:
    return list(Journal.read(folder).rows)


@pytest.fixture
def growth(tmp_path: Path) -> Callable[[Callable[[Path], object]], int]:
    """How many bytes more a run of four times the requests takes."""
    few, many = written(tmp_path / "few", FEW), written(tmp_path / "many", MANY)
    first = written(tmp_path / "first", 10)

    def found(run: Callable[[Path], object]) -> int:
        run(first)  # imports, and what is made only once
        return peak(run, many) - peak(run, few)

    return found


@pytest.mark.parametrize("run", [summed, overview])
def test_four_times_the_rows_take_no_more_memory(
    run: Callable[[Path], object],
    growth: Callable[[Callable[[Path], object]], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(thinned, "_MOST_KEPT", 100)
    assert growth(run) < 200 * _KB


def test_rows_that_are_kept_would_be_seen(
    growth: Callable[[Callable[[Path], object]], int],
) -> None:
    assert growth(listed) > 1_000 * _KB
