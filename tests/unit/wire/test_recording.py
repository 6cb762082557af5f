from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import textwrap
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.wire import (
    Clock,
    End,
    Exchange,
    Read,
    RecordingError,
    RecordingReader,
    RecordingWriter,
    Request,
    TruncatedRecording,
    recording,
)

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")

nanoseconds = st.integers(0, 2**63)
requests = st.builds(
    Request,
    method=st.text(),
    url=st.text(),
    headers=st.lists(st.tuples(st.sampled_from(["", "Accept", "X-\u20ac"]), st.text())).map(tuple),
    body=st.binary(),
)
exchanges = st.builds(
    Exchange,
    id=st.text(),
    request=requests,
    started_ns=nanoseconds,
    connected_ns=st.none() | nanoseconds,
    sent_ns=st.none() | nanoseconds,
    ended_ns=nanoseconds,
    reads=st.lists(st.builds(Read, nanoseconds, st.binary())).map(tuple),
    end=st.sampled_from(End),
    detail=st.text(st.characters(codec=None)),
    clock=st.sampled_from(Clock),
    labels=st.dictionaries(st.text(), st.text()),
)


def exchange(number: int = 0, data: bytes = b"hello") -> Exchange:
    return Exchange(
        id=str(number),
        request=Request(method="GET", url="http://127.0.0.1/"),
        started_ns=0,
        ended_ns=9,
        reads=(Read(1, data),),
        end=End.EOF,
    )


def write(path: Path, *recorded: Exchange) -> list[int]:
    """Record, and return the size of the file after each exchange."""
    sizes = []
    with RecordingWriter(path) as writer:
        for one in recorded:
            writer.write(one)
            sizes.append(path.stat().st_size)
    return sizes


def read_cut(path: Path) -> tuple[list[Exchange], bool]:
    """Read what may be cut short; the warning must agree with the attribute."""
    reader = recording.read(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = list(reader)
    assert reader.truncated == any(one.category is TruncatedRecording for one in caught)
    return found, reader.truncated


@given(st.lists(exchanges, max_size=4))
def test_what_is_recorded_is_read_back(recorded: list[Exchange]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "session.jsonl.gz")
        write(path, *recorded)

        assert read_cut(path) == (recorded, False)


def test_a_recording_is_plain_gzip_and_json_lines(tmp_path: Path) -> None:
    write(tmp_path / "r", exchange())

    with gzip.open(tmp_path / "r", "rt", encoding="utf-8") as lines:
        head, line = map(json.loads, lines)

    assert head == {"recording": "llm-gateway-harness recording", "schema": 1}
    assert line["reads"] == [[1, "aGVsbG8="]]


def test_a_recording_cut_anywhere_gives_all_whole_exchanges(tmp_path: Path) -> None:
    recorded = [exchange(number, random.Random(number).randbytes(50)) for number in range(3)]
    sizes = write(tmp_path / "r", *recorded)
    whole = (tmp_path / "r").read_bytes()

    for length in range(len(whole)):
        (tmp_path / "r").write_bytes(whole[:length])
        found, truncated = read_cut(tmp_path / "r")

        assert truncated
        assert found == recorded[: len(found)]
        assert len(found) >= sum(size <= length for size in sizes)


def test_the_warning_of_a_cut_recording_says_how_much_was_read(tmp_path: Path) -> None:
    sizes = write(tmp_path / "r", exchange(0), exchange(1))
    (tmp_path / "r").write_bytes((tmp_path / "r").read_bytes()[: sizes[1] - 9])

    with pytest.warns(TruncatedRecording, match="1 whole exchanges were read, one more may"):
        assert list(recording.read(tmp_path / "r")) == [exchange(0)]


def test_every_exchange_is_safe_when_it_has_been_written(tmp_path: Path) -> None:
    path = tmp_path / "r"

    with RecordingWriter(path) as writer:
        writer.write(exchange(0))
        writer.write(exchange(1))
        assert read_cut(path) == ([exchange(0), exchange(1)], True)

    assert read_cut(path) == ([exchange(0), exchange(1)], False)


def test_a_killed_process_leaves_what_it_had_written(tmp_path: Path) -> None:
    program = """
        import os, sys
        from harness.wire import End, Exchange, RecordingWriter, Request

        with RecordingWriter(sys.argv[1]) as writer:
            request = Request(method="GET", url="http://127.0.0.1/")
            writer.write(Exchange(id="0", request=request, started_ns=0, ended_ns=1, end=End.EOF))
            os._exit(1)
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), tmp_path / "r"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )

    found, truncated = read_cut(tmp_path / "r")

    assert ([one.id for one in found], truncated) == (["0"], True)


def test_secrets_never_reach_the_file(tmp_path: Path) -> None:
    key = "sk-0123456789abcdef"
    with RecordingWriter(tmp_path / "r", secrets=[key]) as writer:
        writer.write(exchange(0, b"HTTP/1.1 200 OK\r\nSet-Cookie: abc\r\n\r\n" + key.encode()))

    (found,) = recording.read(tmp_path / "r")

    assert found.reads[0].data == (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: [redacted]\r\n\r\n[redacted]*********"
    )


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "r", exchange())

    with pytest.raises(RecordingError, match="Give another path"):
        write(tmp_path / "r", exchange())
    assert read_cut(tmp_path / "r") == ([exchange()], False)


@needs_full
def test_a_full_disk_is_told_at_the_start() -> None:
    with pytest.raises(RecordingError, match=r"/dev/full: No space left.*0 exchanges.*Free space"):
        write(FULL, exchange())


@needs_full
def test_a_disk_that_fills_up_loses_nothing_that_was_written(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r") as writer:
        writer.write(exchange(0))
        writer.write(exchange(1))
        writer._close()
        writer._file = FULL.open("ab", buffering=0)

        with pytest.raises(RecordingError, match="2 exchanges written before are safe"):
            writer.write(exchange(2))
        with pytest.raises(RecordingError, match=r"not open for writing \(2 exchanges"):
            writer.write(exchange(3))

    assert read_cut(tmp_path / "r") == ([exchange(0), exchange(1)], True)


@needs_full
def test_a_disk_that_is_full_at_the_very_end_is_told_too(tmp_path: Path) -> None:
    def session() -> None:
        with RecordingWriter(tmp_path / "r") as writer:
            writer.write(exchange(0))
            writer._close()
            writer._file = FULL.open("ab", buffering=0)

    with pytest.raises(RecordingError, match="1 exchanges written before are safe"):
        session()
    assert read_cut(tmp_path / "r") == ([exchange(0)], True)


def test_a_path_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"none/r: No such file.*Check the path"):
        write(tmp_path / "none" / "r")


def test_a_writer_writes_only_while_it_is_open(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "r")
    with pytest.raises(RecordingError, match="inside `with"):
        writer.write(exchange())
    with writer:
        pass
    with pytest.raises(RecordingError, match="inside `with"):
        writer.write(exchange())


def test_a_recording_without_exchanges_is_whole(tmp_path: Path) -> None:
    write(tmp_path / "r")

    assert read_cut(tmp_path / "r") == ([], False)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot read .*No such file"):
        next(RecordingReader(tmp_path / "none"))


HEAD = b'{"recording": "llm-gateway-harness recording", "schema": 1}\n'


def packed(text: bytes) -> bytes:
    """Compressed without the time of day, so that every worker collects the same tests."""
    return gzip.compress(text, mtime=0)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"not gzip at all", "compressed data is broken"),
        (packed(b""), "it is empty"),
        (packed(b"[1]\n"), "first line is not that of a recording"),
        (packed(b"{}\n"), "first line is not that of a recording"),
        (packed(b"\xff\n"), "first line is not that of a recording"),
        (packed(b'{"recording": "x", "schema": 1}\n'), "it is a 'x'"),
        (packed(HEAD.replace(b"1", b"2")), "has schema 2; this version reads schema 1"),
        (packed(HEAD + b"{}\n"), "exchange 1 is malformed"),
        (packed(HEAD + b"[]\n"), "exchange 1 is malformed"),
        (packed(HEAD + b"{"), "something follows its end"),
        (packed(HEAD) + b"more", "something follows its end"),
        (packed(HEAD)[:-8] + bytes(8), "compressed data is broken"),
    ],
)
def test_what_is_no_recording_says_why(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "r").write_bytes(content)

    with pytest.raises(RecordingError, match=what):
        list(recording.read(tmp_path / "r"))


def test_exchanges_before_the_damage_are_given(tmp_path: Path) -> None:
    write(tmp_path / "r", exchange(0))
    whole = gzip.decompress((tmp_path / "r").read_bytes())
    (tmp_path / "r").write_bytes(gzip.compress(whole + b"damage\n"))
    reader = recording.read(tmp_path / "r")

    assert next(reader) == exchange(0)
    with pytest.raises(RecordingError, match="exchange 2 is malformed"):
        next(reader)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b'"detail"', b'"detial"'),
        (b'"aGVsbG8="', b'"aGVs!bG8="'),
        (b'"end":"eof"', b'"end":"well"'),
        (b'"headers":[]', b'"headers":[["x"]]'),
    ],
)
def test_an_altered_exchange_is_noticed(tmp_path: Path, good: bytes, bad: bytes) -> None:
    write(tmp_path / "r", exchange(0))
    content = gzip.decompress((tmp_path / "r").read_bytes())
    assert good in content
    (tmp_path / "r").write_bytes(gzip.compress(content.replace(good, bad)))

    with pytest.raises(RecordingError, match="exchange 1 is malformed"):
        list(recording.read(tmp_path / "r"))
