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

import gc
import marshal
import os
import struct
import sys
import threading
import time
from array import array
from contextlib import suppress
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO

from harness.load.journal.backlog import KEPT_BYTES, Backlog, BacklogError
from harness.load.journal.batches import Batch
from harness.load.journal.rows import Row, row_of
from harness.wire import End, Request
from harness.wire.engine import Lags, Recorded
from harness.wire.engine.recorded import KEPT_A_READ, Tape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SIZE = struct.Struct("!I")
_PARTS = struct.Struct("!IIIII")
"""How long the parts of a frame are: its facts; lengths, moments, stamps and bytes of its reads."""
_NICE = 10
_COLLECTED_EVERY = 50_000
"""Objects between two searches for cycles: an answer is some hundred objects, and has none."""
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
_told = attrgetter(*_TOLD)


def pack(
    recorded: Recorded, *, number: int, name: str, load: float, labels: Mapping[str, str]
) -> tuple[bytes, bytes]:
    """``recorded`` as two parts of a frame: what is said of its reads, and their bytes.

    Its headers stay here: a key is nobody's business. Each pass goes over one kind of object, for
    what is kept of reads lies wherever there was room when they came: a processor fetches the next
    ones ahead if nothing else is done with each, and a serialiser that meets them one by one waits
    for every one.
    """
    request, reads = recorded.request, recorded.tape.flat()
    told: Any = (
        _told(recorded),
        (request.method, request.url, request.body),
        recorded.end.value,
        (number, _plain(name), load, {_plain(key): _plain(labels[key]) for key in labels}),
    )
    facts = marshal.dumps(told)
    pieces = reads[0::KEPT_A_READ]
    data, stamps = b"".join(pieces), b"".join(reads[2::KEPT_A_READ])
    sizes, seen = array("i", map(len, pieces)), array("q", reads[1::KEPT_A_READ])
    lengths = len(facts), 4 * len(sizes), 8 * len(seen), len(stamps), len(data)
    head = _SIZE.pack(_PARTS.size + sum(lengths)) + _PARTS.pack(*lengths)
    return b"".join((head, facts, sizes, seen, stamps)), data


def _plain(text: object) -> str:
    """``text`` as nothing but a ``str``: a member of an enumeration is one too, and more."""
    return str.__str__(text) if isinstance(text, str) else str(text)


def unpack(frame: bytes) -> tuple[Recorded, tuple[int, str, float, dict[str, str]]]:
    """What `pack` packed, without its headers: ``frame`` is without its length."""
    facts, sizes, seen, stamps, data = _cut(
        memoryview(frame), _PARTS.size, _PARTS.unpack_from(frame)
    )
    told, (method, url, body), end, row = marshal.loads(facts)  # noqa: S302 - our parent's
    pieces = [bytes(piece) for piece in _cut(data, 0, array("i", sizes.tobytes()))]
    return Recorded(
        **dict(zip(_TOLD, told, strict=True)),
        request=Request(method=method, url=url, body=body),
        labels={},
        end=End(end),
        tape=Tape.of(pieces, array("q", seen.tobytes()), bytearray(stamps)),
    ), row


def _cut(data: memoryview, at: int, lengths: Iterable[int]) -> Iterator[memoryview]:
    for length in lengths:
        yield data[at : at + length]
        at += length


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


def main(kept_bytes: int = KEPT_BYTES) -> None:
    """Judge what comes in until standard input ends and all of it is judged.

    Of what waits ``kept_bytes`` are kept in memory. What there is no room for is not judged; a
    batch then says why.
    """
    with suppress(OSError):
        os.nice(_NICE)
    gc.freeze()
    gc.set_threshold(_COLLECTED_EVERY)
    intake = _Intake(sys.stdin.buffer, Backlog(kept_bytes))
    backlog = intake.backlog
    threading.Thread(target=intake.run, daemon=True).start()
    lags, batch, due_s = Lags(), Batch(), 0.0
    while (frame := backlog.get()) is not None:
        if not batch.rows:
            due_s = time.monotonic() + _BATCH_S
        batch.add(*judge(frame, lags))
        left_s = due_s - time.monotonic()
        if len(batch.rows) >= _BATCH_ROWS or left_s <= 0 or not backlog.awaited(left_s):
            batch.trouble = intake.trouble
            _put(batch.dump())
            batch = Batch()
    batch.receive_lag, batch.trouble = lags, intake.trouble
    _put(batch.dump())


def _put(data: bytes) -> None:
    """Write all of it at once, whatever buffers the interpreter was told to use."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(sys.stdout.fileno(), rest) :]


class _Intake:
    """Takes frames in, in a thread of its own, so that whoever sends them never waits."""

    def __init__(self, source: BinaryIO, backlog: Backlog) -> None:
        self._source, self.backlog = source, backlog
        self.trouble: str | None = None
        """Why it ended before its time."""

    def run(self) -> None:
        """Take frames until they end, or until there is no room for one."""
        try:
            self._take()
        except BacklogError as error:
            self.trouble = str(error)
            os.close(self._source.fileno())  # whoever sends need not wait for room in the pipe
        finally:
            self.backlog.end()

    def _take(self) -> None:
        while len(head := self._source.read(_SIZE.size)) == _SIZE.size:
            size = _SIZE.unpack(head)[0]
            if len(frame := self._source.read(size)) < size:
                return
            self.backlog.put(frame)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # whoever asked is gone
        os._exit(1)
