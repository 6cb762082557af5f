"""Judging recordings in another process, so that the one that records never parses.

Parsing an answer costs its process more than receiving it did, and threads of one interpreter
run one at a time. So a recording goes to a child as the bytes it consists of, which costs
microseconds, and comes back as a row. The child is nicer than we are: where CPU is short it falls
behind, keeps what it has not judged in memory up to a limit and above it in a file without a
name, and catches up when the load is over.

The child runs this module: frames of recordings on standard input, on standard output rows in
batches (`harness.load.journal.batches`), and a last one that says how long reads lay in the kernel.
"""

from __future__ import annotations

import os
import pickle
import queue
import struct
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, BinaryIO

from harness.load.journal.batches import Batch
from harness.load.journal.rows import Row, row_of
from harness.wire import End, Request
from harness.wire.engine import Lags, Recorded
from harness.wire.engine.recorded import Tape

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIZE = struct.Struct("!I")
_NICE = 10
_KEPT_BYTES = 64 << 20
_BATCH_S = 0.25
"""How long rows may wait for others before they are passed on together."""
_BATCH_ROWS = 1000


def command() -> list[str]:
    """What starts the child."""
    return [sys.executable, "-m", "harness.load.journal.parsing"]


_TOLD = tuple(
    one.name
    for one in fields(Recorded)
    if one.init and one.name not in {"request", "tape", "end", "labels"}
)
_TAPE = tuple(name for name in Tape.__slots__ if name != "pieces")
_told, _tape = attrgetter(*_TOLD), attrgetter(*_TAPE)


def pack(
    recorded: Recorded, *, number: int, name: str, load: float, labels: Mapping[str, str]
) -> list[bytes]:
    """``recorded`` as the parts of one frame. Its headers stay here: a key is nobody's business.

    A frame is its length, the length of the facts, the facts, and the reads one after another.
    """
    request, pieces = recorded.request, recorded.tape.pieces
    facts = pickle.dumps(
        (
            _told(recorded),
            (request.method, request.url, request.body),
            recorded.end.value,
            [*map(len, pieces)],
            _tape(recorded.tape),
            (number, name, load, labels),
        ),
        pickle.HIGHEST_PROTOCOL,
    )
    size = _SIZE.size + len(facts) + sum(map(len, pieces))
    return [_SIZE.pack(size), _SIZE.pack(len(facts)), facts, *pieces]


def unpack(frame: bytes) -> tuple[Recorded, tuple[int, str, float, dict[str, str]]]:
    """What `pack` packed, without its headers: ``frame`` is without its length."""
    at = _SIZE.size + _SIZE.unpack_from(frame)[0]
    told, (method, url, body), end, lengths, kept, row = pickle.loads(  # noqa: S301 - our parent's
        memoryview(frame)[_SIZE.size : at]
    )
    tape = Tape()
    for length in lengths:
        tape.pieces.append(frame[at : at + length])
        at += length
    for name, value in zip(_TAPE, kept, strict=True):
        setattr(tape, name, value)
    return Recorded(
        **dict(zip(_TOLD, told, strict=True)),
        request=Request(method=method, url=url, body=body),
        labels={},
        end=End(end),
        tape=tape,
    ), row


def judge(frame: bytes, lags: Lags | None = None) -> tuple[Row, int]:
    """The row of one frame (without its length), which names no worker, and its answer's bytes.

    How long its reads lay in the kernel is counted in ``lags``.
    """
    recorded, (number, name, load, labels) = unpack(frame)
    if lags is not None:
        for lag in recorded.receive_lags_ns:
            lags.add(lag)
    row = row_of(recorded, number=number, name=name, load=load, labels=labels)
    return row, recorded.tape.size


class Backlog:
    """Frames that wait, in order: some in memory, the rest in a file without a name."""

    def __init__(self, kept_bytes: int = _KEPT_BYTES) -> None:
        self._limit = kept_bytes
        self.kept_bytes = 0
        """What of them is in memory."""
        self._changed = threading.Condition()
        self._memory: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._file: BinaryIO | None = None
        self._read_at = self._written_to = 0
        self._over = False

    def put(self, frame: bytes) -> None:
        """Add one at the end."""
        with self._changed:
            spilling = self._read_at < self._written_to
            if spilling or self.kept_bytes + len(frame) > self._limit:
                self._spill(frame)
            else:
                self.kept_bytes += len(frame)
                self._memory.put(frame)
            self._changed.notify()

    def end(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._over = True
            self._changed.notify()

    def get(self) -> bytes | None:
        """Take the first, waiting for it; None when nothing more will come."""
        with self._changed:
            while self._memory.empty() and self._read_at == self._written_to:
                if self._over:
                    return None
                self._changed.wait()
            if not self._memory.empty():
                frame = self._memory.get()
                self.kept_bytes -= len(frame)
                return frame
            return self._unspill()

    def awaited(self, timeout_s: float) -> bool:
        """Wait until a frame is there; False if none came in time, or none will."""
        with self._changed:
            if self.empty and not self._over:
                self._changed.wait(timeout_s)
            return not self.empty

    @property
    def empty(self) -> bool:
        """Whether nothing waits now."""
        return self._memory.empty() and self._read_at == self._written_to

    def _spill(self, frame: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._file.seek(self._written_to)
        self._file.write(_SIZE.pack(len(frame)) + frame)
        self._written_to = self._file.tell()

    def _unspill(self) -> bytes:
        if self._file is None:
            raise RuntimeError("frames are said to wait in a file that is not there")
        self._file.seek(self._read_at)
        frame = self._file.read(_SIZE.unpack(self._file.read(_SIZE.size))[0])
        self._read_at = self._file.tell()
        if self._read_at == self._written_to:
            self._file.truncate(0)
            self._read_at = self._written_to = 0
        return frame


def main() -> None:
    """Judge what comes in until standard input ends and all of it is judged."""
    with suppress(OSError):
        os.nice(_NICE)
    backlog = Backlog()
    threading.Thread(target=_take_in, args=(sys.stdin.buffer, backlog), daemon=True).start()
    lags, batch, due_s = Lags(), Batch(), 0.0
    while (frame := backlog.get()) is not None:
        if not batch.rows:
            due_s = time.monotonic() + _BATCH_S
        batch.add(*judge(frame, lags))
        left_s = due_s - time.monotonic()
        if len(batch.rows) >= _BATCH_ROWS or left_s <= 0 or not backlog.awaited(left_s):
            _put(batch.dump())
            batch = Batch()
    batch.receive_lag = lags
    _put(batch.dump())


def _put(data: bytes) -> None:
    """Write all of it at once, whatever buffers the interpreter was told to use."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(sys.stdout.fileno(), rest) :]


def _take_in(source: BinaryIO, backlog: Backlog) -> None:
    try:
        while len(head := source.read(_SIZE.size)) == _SIZE.size:
            size = _SIZE.unpack(head)[0]
            if len(frame := source.read(size)) < size:
                return
            backlog.put(frame)
    finally:
        backlog.end()


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # whoever asked is gone
        os._exit(1)
