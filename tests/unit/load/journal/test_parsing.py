from __future__ import annotations

import enum
import io
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from harness.load.journal import batches, parsing
from harness.load.journal.backlog import Backlog
from harness.load.journal.journal import row_of
from harness.load.journal.parsing import judge, pack
from harness.wire import End, Request
from harness.wire.engine.recorded import UNSTAMPED, Recorded, Tape

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
SECRET = "sk-not-for-a-child"


def recorded(*pieces: bytes) -> Recorded:
    kept: list[bytes | int] = []
    for place, piece in enumerate(pieces):
        kept += piece, 40 + place, UNSTAMPED
    return Recorded(
        id="x",
        request=Request(
            method="POST",
            url="http://g.test/v1/chat/completions",
            headers=(("authorization", f"Bearer {SECRET}"),),
            body=b"{}",
        ),
        labels={},
        scheduled_ns=10,
        submitted_ns=5,
        started_ns=20,
        connected_ns=25,
        sent_ns=30,
        ended_ns=60,
        end=End.EOF,
        tape=Tape(kept),
        offsets_ns=(None, -1000),
    )


GOOD, CUT = recorded(HEAD, CHUNK, DONE), recorded(HEAD, CHUNK)


def frame(one: Recorded, number: int = 1) -> bytes:
    return b"".join(pack(one, number=number, name="chat", load=2.0, labels={"step": "0"}))


@pytest.mark.parametrize("one", [GOOD, CUT, recorded()])
def test_a_row_judged_elsewhere_is_the_row_judged_here(one: Recorded) -> None:
    row, size = judge(frame(one)[4:])
    assert size == one.tape.size
    assert row == row_of(one, number=1, name="chat", load=2.0, labels={"step": "0"})


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_recording_crosses_with_every_read_whether_it_was_looked_at_or_not(
    looked_at: bool,
) -> None:
    one = recorded(HEAD, CHUNK, DONE)
    if looked_at:
        assert one.reads == 3
    packed = frame(one)
    assert (one.tape.kept is None) == looked_at, "packing sorts nothing"
    there, _ = parsing.unpack(packed[4:])
    for name in ("pieces", "seen", "arrived", "size"):
        assert getattr(there.tape, name) == getattr(one.tape, name)
    assert replace(there, request=one.request, tape=one.tape) == one


def test_a_label_may_be_a_member_of_an_enumeration() -> None:
    class Kind(str, enum.Enum):  # noqa: UP042 - unlike of a StrEnum its str() is another
        CHAT = "chat"

    packed = b"".join(pack(GOOD, number=1, name=Kind.CHAT, load=2.0, labels={"kind": Kind.CHAT}))
    row, _ = judge(packed[4:])
    assert (row.name, row.labels) == ("chat", {"kind": "chat"})


def test_a_key_does_not_leave_the_process() -> None:
    assert SECRET.encode() not in frame(GOOD)
    assert GOOD.request.headers, "the recording itself keeps what it was"


def test_the_child_answers_every_frame_in_order() -> None:
    frames = b"".join(frame(GOOD if number % 2 else CUT, number) for number in range(50))
    done = subprocess.run(
        parsing.command(), input=frames, capture_output=True, check=True, timeout=60
    )
    found = list(batches.read(io.BytesIO(done.stdout)))
    assert [batch.receive_lag is not None for batch in found] == [*[False] * (len(found) - 1), True]
    sizes = [size for batch in found for size in batch.sizes]
    assert sizes == [one.tape.size for one in (CUT, GOOD)] * 25
    rows = [json.loads(line) for batch in found for line in batch.rows]
    assert [row["number"] for row in rows] == list(range(50))
    assert [row["met"]["whole"] for row in rows] == [bool(number % 2) for number in range(50)]


def test_rows_leave_the_child_together_however_it_is_told_to_buffer() -> None:
    frames = b"".join(frame(GOOD, number) for number in range(200))
    done = subprocess.run(
        parsing.command(), input=frames, capture_output=True, check=True, timeout=60,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert len(list(batches.read(io.BytesIO(done.stdout)))) < 50


def test_the_child_ends_in_order_when_its_parent_dies_in_mid_frame() -> None:
    done = subprocess.run(
        parsing.command(),
        input=frame(GOOD) + frame(GOOD)[:-9],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert sum(len(batch.rows) for batch in batches.read(io.BytesIO(done.stdout))) == 1


def test_frames_above_the_limit_wait_outside_memory_and_in_order() -> None:
    backlog = Backlog(kept_bytes=1000)
    sent = [os.urandom(1 + number % 300) for number in range(200)]
    for one in sent[:150]:
        backlog.put(one)
    assert backlog.kept_bytes <= 1000
    got = [backlog.get() for _ in range(100)]
    for one in sent[150:]:
        backlog.put(one)
    backlog.end()
    got += list(iter(backlog.get, None))
    assert got == sent
    assert backlog.empty
    assert backlog.kept_bytes == 0


def test_whoever_waits_for_a_frame_gets_it() -> None:
    backlog = Backlog()
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.extend(iter(backlog.get, None)))
    reader.start()
    backlog.put(b"a")
    backlog.put(b"b")
    backlog.end()
    reader.join(30)
    assert got == [b"a", b"b"]


def test_times_on_a_frame_are_not_touched() -> None:
    late = replace(GOOD, scheduled_ns=None)
    assert judge(frame(late)[4:])[0].due_unix_ns == 1005


FULL = """
import resource, tempfile
from harness.load.journal.backlog import Backlog, BacklogError
tempfile.gettempdir()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
backlog, kept = Backlog(kept_bytes=500), 0
try:
    while True:
        backlog.put(bytes([kept]) * 100)
        kept += 1
except BacklogError as error:
    print(error)
backlog.end()
assert list(iter(backlog.get, None)) == [bytes([number]) * 100 for number in range(kept)]
print(kept)
"""


def test_on_a_full_disk_what_was_taken_is_kept_and_the_rest_is_refused_in_words() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    why, kept = done.stdout.splitlines()
    assert "File too large" in why
    assert "TMPDIR" in why
    assert kept == "14", "5 in memory and 9 of 104 bytes in a file of 1000"


def test_the_child_judges_what_it_has_and_says_why_it_has_no_more() -> None:
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2, -1));"
        "from harness.load.journal import parsing; parsing.main(kept_bytes=1)"
    )
    frames = b"".join(frame(GOOD, number) for number in range(50))
    done = subprocess.run(
        [sys.executable, "-c", limited], input=frames, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    *_, last = batches.read(io.BytesIO(done.stdout))
    assert "cannot be kept" in (last.trouble or "")
    assert last.receive_lag is not None
