from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.engines.metrics import Quantity
from harness.evidence import Evidence, EvidenceStore, Verdict
from harness.load.goodput import Met
from harness.load.journal.journal import Facts, JournalError, Writer
from harness.load.journal.rows import Row
from harness.load.overview.overview import overview
from harness.load.sampling.sampling import KIND, SCHEMA, path_of

if TYPE_CHECKING:
    from pathlib import Path

S = 1_000_000_000
FACTS = Facts(
    profile="smoke", seed=3, host="http://127.0.0.1:1", engine="emulated", begun_unix_ns=0
)


def row(number: int, *, failure: str = "", why: str = "") -> Row:
    met = Met(whole=False, why=why)
    if not failure:
        met = Met(whole=True, why="", queue_ms=0, ttft_ms=100, e2e_ms=900, tokens=9, chunks=8)
    return Row(
        due_unix_ns=number * S,
        ended_unix_ns=(number + 1) * S,
        number=number,
        name="m",
        load=1 + number // 10,
        worker="0",
        failure=failure,
        met=met,
    )


def recorded(folder: Path, rows: list[Row], partial: str | None = None) -> Path:
    writer = Writer(folder, facts=FACTS)
    for each in rows:
        writer.add(each)
    writer.close(partial)
    return folder


def watched(folder: Path, *, facts: dict[str, str], name: str = "vllm", running: int = 1) -> None:
    lines: list[dict[str, object]] = [
        {"samples": KIND, "schema": SCHEMA, "name": name, "url": "u", "every_s": 1.0},
        {"dialect": "vllm", "facts": facts},
    ]
    lines += [
        {
            "asked": second * S,
            "at": second * S + 1000,
            "running": running,
            "waiting": int(second in (12, 13)),
            "preemptions": max(0, second) // 15,
        }
        for second in range(-1, 22)
    ]
    lines.append({"ended": 22 * S})
    path_of(folder, name).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_what_a_load_left_behind_is_summed_up(tmp_path: Path) -> None:
    bad = {4: ("reset", "cut at 3"), 2: ("reset", "cut at 1"), 6: ("error 429", "slow down")}
    rows = [row(n, failure=bad.get(n, ("", ""))[0], why=bad.get(n, ("", ""))[1]) for n in range(20)]
    folder = recorded(tmp_path / "run", rows)
    watched(folder, facts={"kv_cache_max_concurrency": "33.6328125"})

    found = overview(folder)

    assert (found.due, found.whole, found.chunks) == (20, 17, 17 * 8)
    assert [(f.kind, f.n, f.example) for f in found.failures] == [
        ("reset", 2, "cut at 1"),
        ("error 429", 1, "slow down"),
    ]
    assert [step.load for step in found.staircase.steps] == [1, 2]
    (engine,) = found.engines
    assert engine.capacity == 33.6328125
    assert engine.client[6] == 1
    assert [(round(w.begun_unix_ns / S), w.samples) for w in engine.waited] == [(12, 2)]
    first, second = engine.steps
    assert (first.most_waiting, second.most_waiting) == (0, 1)
    assert (first.preemptions.value, second.preemptions.value) == (0, 1)
    assert engine.whole.preemptions.value == 1
    assert engine.sampled.samples[0].said[Quantity.RUNNING] == 1


def test_requests_given_up_when_a_level_was_cut_short_are_no_failures(tmp_path: Path) -> None:
    """The client cancelled them: late they were, but no error of the server."""
    rows = [row(n, failure="cancelled" if n % 5 == 0 else "", why="cut") for n in range(20)]
    rows = [
        replace(each, labels={"given-up": "1"}) if each.number in (10, 15) else each
        for each in rows
    ]

    found = overview(recorded(tmp_path / "run", rows))

    assert (found.due, found.whole, found.failed, found.given_up) == (20, 16, 2, 2)
    assert [(f.kind, f.n) for f in found.failures] == [("cancelled", 2)]
    assert [(step.failed, step.given_up) for step in found.staircase.steps] == [(2, 0), (0, 2)]
    assert sum(each.failed for each in found.bins) == 2
    assert sum(each.given_up for each in found.bins) == 2


def test_an_engine_that_does_not_tell_its_capacity_has_none(tmp_path: Path) -> None:
    folder = recorded(tmp_path, [row(0)])
    watched(folder, facts={"kv_cache_max_concurrency": "None"})

    assert overview(folder).engines[0].capacity is None


def test_the_busiest_engine_comes_first(tmp_path: Path) -> None:
    recorded(tmp_path, [row(number) for number in range(4)])
    for name, running in (("a", 0), ("b", 3), ("c", 1)):
        watched(tmp_path, facts={}, name=name, running=running)
    assert [one.sampled.name for one in overview(tmp_path).engines] == ["b", "c", "a"]


def test_evidence_beside_the_rows_is_taken_in(tmp_path: Path) -> None:
    folder = recorded(tmp_path, [row(0)])
    record = Evidence(check="a.b", subject="s", asked="is it?", verdict=Verdict.PASS)
    with EvidenceStore(folder / "evidence.jsonl") as store:
        store.append(record)

    assert overview(folder).evidence == (record,)


def test_of_a_search_that_went_on_the_last_word_counts(tmp_path: Path) -> None:
    folder = recorded(tmp_path, [row(0)])
    said = [
        Evidence(check=check, subject="s", asked="?", verdict=verdict, reason="r")
        for check, verdict in (
            ("load.find", Verdict.INCONCLUSIVE),
            ("a.b", Verdict.FAIL),
            ("a.b", Verdict.PASS),
            ("load.find", Verdict.PASS),
        )
    ]
    with EvidenceStore(folder / "evidence.jsonl") as store:
        for each in said:
            store.append(each)

    assert overview(folder).evidence == tuple(said[1:])


def test_a_partial_load_and_an_empty_one_are_summed_up_too(tmp_path: Path) -> None:
    partial = overview(recorded(tmp_path / "partial", [row(0)], partial="Ctrl-C"))
    empty = overview(recorded(tmp_path / "empty", []))

    assert partial.facts.partial == "Ctrl-C"
    assert (empty.due, empty.bins, empty.failures, empty.engines) == (0, (), (), ())
    assert empty.staircase.why == "nothing was due"


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError):
        overview(tmp_path)
