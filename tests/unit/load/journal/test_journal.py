from __future__ import annotations

import json
import resource
import tracemalloc
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.load.goodput import Met
from harness.load.journal import journal
from harness.load.journal.journal import Facts, Journal, JournalError, Row, Writer
from harness.wire import End, Request
from harness.wire.engine.recorded import UNSTAMPED, Recorded, Tape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FACTS = Facts(
    profile="smoke",
    seed=1,
    host="http://g.test",
    engine="emulated",
    begun_unix_ns=10**18,
    versions={"harness": "0.1"},
    notes={"users": 4},
)


def row(number: int, worker: str = "0", *, ended: int | None = None) -> Row:
    return Row(
        due_unix_ns=10**18 + number,
        ended_unix_ns=10**18 + (number * 1000 if ended is None else ended),
        number=number,
        name="chat",
        load=4.0,
        worker=worker,
        met=Met(whole=True, why="all of it", ttft_ms=1.5, tokens=3),
    )


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    broken = replace(
        row(2),
        failure="error 429",
        labels={"step": "3"},
        met=Met(whole=False, why="status 429, error object in the body: slow \u2028 down"),
    )
    with Writer(tmp_path, facts=FACTS) as writer:
        for one in (row(1), broken):
            writer.add(one)
    found = Journal.read(tmp_path)
    assert list(found.rows) == [row(1), broken]
    assert list(found.rows) == [row(1), broken], "rows can be read as often as one likes"
    assert found.facts == replace(FACTS, workers=("0",), partial=None)


times = st.floats(allow_nan=False, allow_infinity=False, min_value=0)


@given(
    st.builds(
        Met,
        whole=st.booleans(),
        why=st.text(),
        ttft_ms=st.none() | times,
        e2e_ms=st.none() | times,
        ttft_slack_ms=times,
        tokens=st.integers(0),
    )
)
def test_no_row_changes_on_its_way(met: Met) -> None:
    one = replace(row(1), met=met)
    assert journal.load(json.loads(json.dumps(journal.dump(one))), worker="0") == one


def test_the_rows_of_all_workers_are_one_run_in_order(tmp_path: Path) -> None:
    journal.begin(tmp_path, FACTS)
    for name in ("host_a1", "host/b2"):
        with Writer(tmp_path, worker=name) as writer:
            for number in range(name == "host_a1", 10, 2):
                writer.add(row(number, name))
    journal.finish(tmp_path, FACTS, partial=None)
    found = Journal.read(tmp_path)
    assert [one.number for one in found.rows] == list(range(10))
    assert {one.worker for one in found.rows} == {"host_a1", "host/b2"}
    assert found.facts.workers == ("host/b2", "host_a1")
    assert found.facts.partial is None


def test_rows_can_be_had_in_the_order_in_which_they_were_due(tmp_path: Path) -> None:
    with Writer(tmp_path, facts=FACTS) as writer:
        for number, ended in ((2, 5), (1, 9)):
            writer.add(row(number, ended=ended))
    found = Journal.read(tmp_path)
    assert [one.number for one in found.rows] == [2, 1]
    assert [one.number for one in found.rows.by_due()] == [1, 2]


def test_a_torn_last_line_is_left_out_and_makes_it_partial(tmp_path: Path) -> None:
    writer = Writer(tmp_path, facts=FACTS)
    for number in range(3):
        writer.add(row(number))
    writer.close()
    whole = writer.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(len(whole)):
        writer.path.write_bytes(whole[:cut])
        found = Journal.read(tmp_path)
        rows = list(found.rows)
        kept = sum(len(b"".join(lines[: n + 2])) <= cut for n in range(3))
        assert [one.number for one in rows] == list(range(kept))
        assert found.facts.partial


def test_a_run_that_was_killed_says_so(tmp_path: Path) -> None:
    Writer(tmp_path, facts=FACTS).add(row(1))  # and never closed
    found = Journal.read(tmp_path)
    assert [one.number for one in found.rows] == [1]
    assert found.facts.partial is not None
    assert journal.UNFINISHED in found.facts.partial
    assert "worker 0" in found.facts.partial


def test_an_error_inside_with_makes_it_partial(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Writer(tmp_path, facts=FACTS):
        raise KeyboardInterrupt
    assert Journal.read(tmp_path).facts.partial == "KeyboardInterrupt"


def test_a_worker_that_left_nothing_makes_it_partial(tmp_path: Path) -> None:
    facts = replace(FACTS, workers=("a", "b"))
    journal.begin(tmp_path, facts)
    Writer(tmp_path, worker="a").close()
    journal.finish(tmp_path, facts, partial=None)
    assert Journal.read(tmp_path).facts.partial == "worker b left no rows"


def test_a_journal_is_never_overwritten(tmp_path: Path) -> None:
    Writer(tmp_path, facts=FACTS).close()
    with pytest.raises(JournalError, match="never overwritten"):
        Writer(tmp_path, facts=FACTS)
    with pytest.raises(JournalError, match="writes its rows once"):
        Writer(tmp_path)


def test_after_the_end_nothing_can_be_added(tmp_path: Path) -> None:
    writer = Writer(tmp_path, facts=FACTS)
    writer.close()
    writer.close("later reasons do not count")
    with pytest.raises(JournalError, match=r"closed \(0 rows"):
        writer.add(row(1))
    assert Journal.read(tmp_path).facts.partial is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{}", "neither"),
        (b'{"met": {}}', "no row"),
        (b"nonsense", "JSONDecodeError"),
        (b'{"met": {"whole": true, "why": "", "ttft": 1}}', "no row"),
        (b'{"rows": 1', "no row"),
    ],
)
def test_what_is_no_row_is_named_with_its_line(tmp_path: Path, line: bytes, why: str) -> None:
    writer = Writer(tmp_path, facts=FACTS)
    writer.close()
    head, end = writer.path.read_bytes().splitlines(keepends=True)
    writer.path.write_bytes(head + line + b"\n" + end)
    with pytest.raises(JournalError, match=rf"requests-0\.jsonl:2 .*{why}"):
        list(Journal.read(tmp_path).rows)


def test_a_value_of_the_wrong_type_is_no_row() -> None:
    said = journal.dump(row(1)) | {"number": "1"}
    with pytest.raises(TypeError, match="wrong type"):
        journal.load(said, worker="0")


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="Name the folder of a load run"):
        Journal.read(tmp_path)
    (tmp_path / "run.json").write_text('{"schema": 99}')
    with pytest.raises(JournalError, match="schema 99"):
        Journal.read(tmp_path)
    (tmp_path / "run.json").write_text('{"schema": 1, "workers": []}')
    with pytest.raises(JournalError, match="no facts"):
        Journal.read(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(JournalError, match="no facts"):
        Journal.read(tmp_path)


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    writer = Writer(tmp_path, facts=FACTS)
    writer.close()
    writer.path.write_bytes(writer.path.read_bytes().replace(b'"schema":1', b'"schema":2'))
    with pytest.raises(JournalError, match="schema 1"):
        Journal.read(tmp_path)


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """A full disk, as far as this process can tell: EFBIG stands in for ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_what_was_written_is_safe(tmp_path: Path) -> None:
    writer = Writer(tmp_path, facts=FACTS)
    writer.add(row(1))
    with room_for(writer.path.stat().st_size + 20), pytest.raises(JournalError) as told:
        writer.add(row(2))
    assert "1 rows written before are safe" in str(told.value)
    assert "Free space" in str(told.value)
    writer.close()
    found = Journal.read(tmp_path)
    assert [one.number for one in found.rows] == [1]
    assert found.facts.partial


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="file"):
        Writer(tmp_path / "file" / "journal", facts=FACTS)
    with pytest.raises(JournalError, match=r"requests-0\.jsonl"):
        Writer(tmp_path / "nowhere")


def test_reading_takes_no_more_memory_for_more_rows(tmp_path: Path) -> None:
    def peak(folder: Path, rows: int) -> int:
        with Writer(folder, facts=FACTS) as writer:
            for number in range(rows):
                writer.add(row(number))
        tracemalloc.start()
        try:
            assert sum(1 for _ in Journal.read(folder).rows) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(tmp_path / "warm", 10)
    assert peak(tmp_path / "many", 4000) < 2 * peak(tmp_path / "few", 400)


HEAD = b"HTTP/1.1 %b X\r\ncontent-type: text/event-stream\r\n\r\n"
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def recorded(body: bytes, *, status: bytes = b"200", end: End = End.EOF) -> Recorded:
    kept = (HEAD % status, 40, UNSTAMPED, body, 50, UNSTAMPED) if status else ()
    return Recorded(
        id="x",
        request=Request(method="POST", url="http://g.test/v1/chat/completions"),
        labels={},
        scheduled_ns=10,
        submitted_ns=5,
        started_ns=20,
        connected_ns=25,
        sent_ns=30,
        ended_ns=60,
        end=end,
        tape=Tape(kept),
        offsets_ns=(None, -1000),
    )


def test_a_row_is_made_of_a_recording() -> None:
    made = journal.row_of(recorded(CHUNK + DONE), number=7, name="chat", load=3.0, worker="w")
    assert (made.due_unix_ns, made.ended_unix_ns) == (1010, 1060)
    assert (made.number, made.name, made.load, made.worker) == (7, "chat", 3.0, "w")
    assert made.failure == ""
    assert made.met.whole
    assert made.met.queue_ms == pytest.approx(20e-6)


@pytest.mark.parametrize(
    ("one", "failure"),
    [
        (recorded(CHUNK), "truncated"),
        (recorded(CHUNK, end=End.TIMEOUT), "timeout"),
        (recorded(CHUNK, end=End.RESET), "reset"),
        (recorded(CHUNK, end=End.CANCELLED), "cancelled"),
        (recorded(DONE), "empty"),
        (recorded(b'data: {"error":{"message":"no"}}\n\n'), "error 200"),
        (recorded(b'{"error":{"message":"no"}}', status=b"429"), "error 429"),
        (recorded(b"", status=b"", end=End.REFUSED), "refused"),
        (recorded(b"", status=b"", end=End.UNREACHABLE), "unreachable"),
        (recorded(b"", status=b"", end=End.TIMEOUT), "timeout"),
    ],
)
def test_failures_have_kinds(one: Recorded, failure: str) -> None:
    made = journal.row_of(one, number=1, name="chat", load=1.0)
    assert made.failure == failure
    assert not made.met.whole
    assert made.met.why
