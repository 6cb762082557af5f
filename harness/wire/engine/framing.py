"""Where one answer ends on a connection that stays open (RFC 9112 section 6.3).

Only this much is looked at while an exchange runs: the head once, and of each later read its
length (Content-Length) or its last four bytes (chunked: no message ends without an empty line,
so chunk sizes are walked only when a read ends with one). Whatever does not fit is no end: it is
recorded until the peer closes or the deadline passes, and judged afterwards.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from harness.wire.engine.recorded import KEPT_A_READ
from harness.wire.http1 import chunk_size, sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAD_END = re.compile(rb"\n\r?\n")
_STATUS = re.compile(rb"HTTP/1\.(?P<minor>[01]) (?P<code>\d{3})(?=[ \r\n])")
_FIELD = re.compile(
    rb"^(content-length|transfer-encoding|connection):[ \t]*([^\r\n]*?)[ \t]*\r?$", re.MULTILINE
)
EMPTY_LINE = b"\r\n\r\n"
_BODILESS = frozenset({204, 304})


class _Mode(Enum):
    HEAD = auto()
    CHUNKED = auto()
    LENGTH = auto()
    UNTIL_CLOSE = auto()


class Framing:
    """Watches ``kept``, the reads of one answer, for the end of the message.

    ``kept`` has `KEPT_A_READ` things of each read, of which the first are its bytes.
    ``head_only``: the request was HEAD, whose answer has no body whatever it says.
    """

    __slots__ = (
        "_head_only",
        "_kept",
        "_left",
        "_mode",
        "_rest",
        "_trailing",
        "_walked",
        "midway",
    )

    def __init__(self, kept: Sequence[Any], *, head_only: bool = False) -> None:
        self._kept = kept
        self._head_only = head_only
        self._mode = _Mode.HEAD
        self._rest = b""  # received, not yet understood
        self._walked = 0  # of what is kept
        self._left = 0  # bytes of the body (or of the chunk at hand) still to come
        self._trailing = False
        self.midway = False
        """Within a chunked body: only a read that ends with `EMPTY_LINE`, or is shorter, can be
        the last, and `ends` need not be asked of another."""

    def ends(self) -> bool:
        """Say whether the last read, which was just kept, ends the message exactly."""
        mode = self._mode
        if mode is _Mode.CHUNKED:
            last = self._kept[-KEPT_A_READ]
            return (last.endswith(EMPTY_LINE) or len(last) < 4) and self._walk()
        if mode is _Mode.LENGTH:
            self._left -= len(self._kept[-KEPT_A_READ])
            return self._reached()
        return mode is _Mode.HEAD and self._head()

    def _head(self) -> bool:
        self._take()
        while end := _HEAD_END.search(self._rest):
            status = _STATUS.match(self._rest)
            if status is None:
                return self._until_close()
            code = int(status["code"])
            head, self._rest = self._rest[: end.end()], self._rest[end.end() :]
            if code >= 200:
                return self._body(code, head.lower(), persistent=status["minor"] == b"1")
            if code == 101:
                return self._until_close()
        return False

    def _body(self, code: int, head: bytes, *, persistent: bool) -> bool:
        fields: dict[bytes, set[bytes]] = {}
        for name, value in _FIELD.findall(head):
            fields.setdefault(name, set()).add(value)
        coding = fields.get(b"transfer-encoding")
        lengths = fields.get(b"content-length", set())
        options = {
            option.strip()
            for value in fields.get(b"connection", ())
            for option in value.split(b",")
        }
        if not persistent or b"close" in options:
            return self._until_close()
        if self._head_only or code in _BODILESS:
            self._left = -len(self._rest)
            return self._reached()
        if coding is not None:
            if coding != {b"chunked"}:
                return self._until_close()
            self._mode, self.midway = _Mode.CHUNKED, True
            return self._walk()
        if len(lengths) != 1 or not (length := next(iter(lengths))).isdigit():
            return self._until_close()
        self._mode = _Mode.LENGTH
        self._left = int(length) - len(self._rest)
        return self._reached()

    def _reached(self) -> bool:
        if self._left < 0:
            return self._until_close()
        return self._left == 0

    def _walk(self) -> bool:
        """Walk the chunks that have arrived; True if the message ended with the last byte."""
        self._take()
        data, at = self._rest, 0
        while not self._trailing:
            at += self._left
            if at > len(data):
                self._left, self._rest = at - len(data), b""
                return False
            self._left = 0
            end = data.find(b"\r\n", at)
            if end < 0:
                self._rest = data[at:]
                return False
            length = sizes.get(line := data[at:end], -1)
            if length < 0 and (length := chunk_size(line)) < 0:
                return self._until_close()
            at = end + 2
            self._trailing = length == 0
            self._left = length + 2 if length else 0
        self._rest = trailer = data[at:]
        if trailer.startswith(b"\r\n"):
            return len(trailer) == 2 or self._until_close()
        end = trailer.find(EMPTY_LINE)
        return end >= 0 and (end + 4 == len(trailer) or self._until_close())

    def _take(self) -> None:
        self._rest += b"".join(self._kept[self._walked :: KEPT_A_READ])
        self._walked = len(self._kept)

    def _until_close(self) -> bool:
        self._mode, self._rest, self.midway = _Mode.UNTIL_CLOSE, b"", False
        return False
