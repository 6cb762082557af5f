"""Server-sent events, framed by bytes (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.wire.exchange import Read

_LINE = re.compile(rb"(?P<text>[^\r\n]*)(?P<eol>\r\n|\n|\r|\Z)")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    r"""One event as a conforming parser would dispatch it, or one comment line.

    ``data`` are the values of the data lines joined by LF, undecoded, so that a
    judge can see broken UTF-8. ``event`` is the type ("message" unless named) and
    ``id`` the last event id in force, None before the first. A comment has no data:
    ``comment`` is true and the line is in ``raw``. ``raw`` are the lines of the frame
    with their line ends as received (without comments in between, and without a byte
    order mark).

    ``terminated`` is false for what a conforming parser would discard: an event
    without its blank line, or a comment without its line end, where the stream stops.

    ``at_ns`` is the stamp of the read that completed the frame, ``after_ns`` the stamp
    of the read before. Where ``merged`` is true other events share the read and the
    frame arrived somewhere between the two; otherwise it arrived at ``at_ns``.
    """

    data: bytes
    event: str = "message"
    id: str | None = None
    at_ns: int
    after_ns: int
    merged: bool = False
    terminated: bool = True
    comment: bool = False
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    text: bytes
    eol: bytes

    @property
    def last(self) -> int:
        """Offset of the byte that completed it: a CR does, whether or not an LF follows."""
        return self.start + len(self.text) - (0 if self.eol else 1)


@dataclass(slots=True)
class _Block:
    """The lines of one frame, and what section 9.2.6 makes of them."""

    id: str | None
    event: str = "message"
    data: list[bytes] = field(default_factory=list)
    lines: list[_Line] = field(default_factory=list)
    terminated: bool = False
    comment: bool = False

    @property
    def last(self) -> int:
        return self.lines[-1].last

    def take(self, line: _Line) -> None:
        self.lines.append(line)
        name, _, value = line.text.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self.data.append(value)
        elif name == b"event":
            self.event = value.decode("utf-8", "replace") or "message"
        elif name == b"id" and b"\0" not in value:
            self.id = value.decode("utf-8", "replace")


def frames(pieces: Iterable[Read], *, since_ns: int = 0) -> tuple[Frame, ...]:
    """Cut a body, given as stamped pieces, into frames in the order they were completed.

    Only LF, CR and CRLF end a line. The frames do not depend on how the body was cut
    into pieces; only their stamps do. A block without a data line is never dispatched
    and yields no frame. ``since_ns`` is a moment before which nothing of the body can
    have arrived (such as ``Exchange.sent_ns``): the ``after_ns`` of the first piece.
    """
    reads = [piece for piece in pieces if piece.data]
    ends = list(accumulate(len(read.data) for read in reads))
    lines = list(_lines(b"".join(read.data for read in reads)))
    # A block that is never terminated ends with its last line, maybe before a comment in it.
    blocks = sorted(_blocks(lines), key=lambda block: block.last)

    def carrier(offset: int) -> int:
        return bisect_right(ends, offset)

    events_in = Counter(carrier(block.last) for block in blocks if not block.comment)
    last_start_in = {carrier(line.start): line.start for line in lines if line.text}

    def frame(block: _Block) -> Frame:
        index = carrier(block.last)
        others = events_in[index] - (not block.comment)
        return Frame(
            data=b"\n".join(block.data),
            event=block.event,
            id=block.id,
            at_ns=reads[index].at_ns,
            after_ns=reads[index - 1].at_ns if index else since_ns,
            merged=others > 0 or last_start_in.get(index, -1) > block.last,
            terminated=block.terminated,
            comment=block.comment,
            raw=b"".join(line.text + line.eol for line in block.lines),
        )

    return tuple(frame(block) for block in blocks)


def _lines(body: bytes) -> Iterator[_Line]:
    for match in _LINE.finditer(body, len(_BOM) if body.startswith(_BOM) else 0):
        if match[0]:
            yield _Line(match.start(), match["text"], match["eol"])


def _blocks(lines: Iterable[_Line]) -> Iterator[_Block]:
    block = _Block(id=None)
    for line in lines:
        if not line.text:
            if block.data:
                block.lines.append(line)
                block.terminated = True
                yield block
            block = _Block(id=block.id)
        elif line.text.startswith(b":"):
            yield _Block(id=block.id, lines=[line], terminated=bool(line.eol), comment=True)
        else:
            block.take(line)
    if block.data:
        yield block
