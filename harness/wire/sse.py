"""Server-sent events, framed by bytes (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from itertools import accumulate, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.wire.exchange import Read

_BOM = b"\xef\xbb\xbf"

_Block = tuple[int, bytes, str, str | None, bool, bool, bytes]
"""The lines of one frame, as section 9.2.6 has them: the offset of the byte that completed it (a
CR does, whether or not an LF follows), and then data, event, id, terminated, comment and raw."""


class Frame(NamedTuple):
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
    event: str
    id: str | None
    at_ns: int
    after_ns: int
    merged: bool
    terminated: bool
    comment: bool
    raw: bytes


def frames(pieces: Iterable[Read], *, since_ns: int = 0) -> tuple[Frame, ...]:
    """Cut a body, given as stamped pieces, into frames in the order they were completed.

    Only LF, CR and CRLF end a line. The frames do not depend on how the body was cut
    into pieces; only their stamps do. A block without a data line is never dispatched
    and yields no frame. ``since_ns`` is a moment before which nothing of the body can
    have arrived (such as ``Exchange.sent_ns``): the ``after_ns`` of the first piece.
    """
    reads = [piece for piece in pieces if piece.data]
    blocks, starts = _blocks(b"".join([data for _, data in reads]))
    stamps = [at_ns for at_ns, _ in reads]
    before = [since_ns, *stamps]
    ends = list(accumulate([len(data) for _, data in reads]))
    carriers = list(map(bisect_right, repeat(ends), [block[0] for block in blocks]))
    events_in = Counter(
        [carrier for carrier, block in zip(carriers, blocks, strict=True) if not block[5]]
    )
    # The last line that begins before the end of each read: behind a frame, it is in its read.
    begun = [starts[place - 1] for place in map(bisect_left, repeat(starts), ends)]
    return tuple(
        [
            Frame(
                data,
                event,
                id_,
                stamps[carrier],
                before[carrier],
                events_in[carrier] > (not comment) or begun[carrier] > last,
                terminated,
                comment,
                raw,
            )
            for carrier, (last, data, event, id_, terminated, comment, raw) in zip(
                carriers, blocks, strict=True
            )
        ]
    )


def _blocks(body: bytes) -> tuple[list[_Block], list[int]]:
    """The blocks of ``body`` in the order they were completed, and where its lines begin.

    Blank lines are not among the lines; the first of all begins at -1.
    """
    found: list[_Block] = []
    starts = [-1]
    data: list[bytes] = []
    lines: list[bytes] = []
    event, id_, last = "message", None, -1
    end = len(_BOM) if body.startswith(_BOM) else 0
    for line in body[end:].splitlines(keepends=True):  # of bytes: at LF, CR and CRLF alone
        start, end = end, end + len(line)
        text = line.rstrip(b"\r\n")
        if not text:
            if data:
                lines.append(line)
                found.append((start, b"\n".join(data), event, id_, True, False, b"".join(lines)))
                data = []
            event, lines = "message", []
            continue
        starts.append(start)
        completed = start + len(text) - (len(text) == len(line))
        if text.startswith(b":"):
            found.append((completed, b"", "message", id_, text != line, True, line))
            continue
        last = completed
        lines.append(line)
        name, _, value = text.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value.decode("utf-8", "replace") or "message"
        elif name == b"id" and b"\0" not in value:
            id_ = value.decode("utf-8", "replace")
    if data:
        found.append((last, b"\n".join(data), event, id_, False, False, b"".join(lines)))
        found.sort(key=itemgetter(0))  # a comment in it may have come after its last line
    return found, starts
