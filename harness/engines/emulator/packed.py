"""The writes of an answer in little memory: what its tokens' frames share is kept once.

A frame of one token is two hundred bytes of which ten differ from the next, and a thousand streams
of hundreds of tokens are all prepared before the first is sent.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from harness.engines.emulator import http

if TYPE_CHECKING:
    from harness.engines.emulator.answer import Frame

_FEW = 8


class Packed(Sequence[bytes]):
    """The writes of an answer, in order; each is put together when it is asked for.

    ``frames`` that bear a token are stored as what lies between the beginning and the end that all
    of them have in common; the others whole. With ``chunked`` each is a chunk of chunked transfer
    coding. ``head`` comes before the first, ``last`` is a write of its own at the end.
    """

    __slots__ = ("_begin", "_chunked", "_end", "_ends", "_inner", "_length", "_whole")

    def __init__(
        self, frames: Sequence[Frame], *, chunked: bool, head: bytes = b"", last: bytes = b""
    ) -> None:
        self._length = len(frames)
        self._chunked = chunked
        self._whole: dict[int, bytes] = {}
        self._begin, self._end = _shared([each.data for each in frames if each.part == "token"])
        self._ends = array("I")
        inner: list[bytes] = []
        kept, size = len(self._begin) + len(self._end), 0
        for index, frame in enumerate(frames):
            if kept and frame.part == "token":
                inner.append(frame.data[len(self._begin) : len(frame.data) - len(self._end)])
                size += len(inner[-1])
            else:
                self._whole[index] = http.chunk(frame.data) if chunked else frame.data
            self._ends.append(size)
        self._inner = b"".join(inner)
        if head:
            self._whole[0] = head + (self[0] if frames else b"")
            self._length = max(1, self._length)
        if last:
            self._whole[self._length] = last
            self._length += 1

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(self._length))]
        whole = self._whole.get(index)
        if whole is not None:
            return whole
        if not 0 <= index < self._length:
            raise IndexError(f"write {index} of {self._length}")
        ends = self._ends
        data = self._begin + self._inner[ends[index - 1] if index else 0 : ends[index]] + self._end
        return http.chunk(data) if self._chunked else data


def _shared(all_: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The longest beginning and end that all have in common, without overlap; nothing of few."""
    if len(all_) < _FEW:
        return b"", b""
    begin = _prefix(all_)
    rest = [data[len(begin) :][::-1] for data in all_]
    return begin, _prefix(rest)[::-1]


def _prefix(all_: Sequence[bytes]) -> bytes:
    """What all begin with: what the least and the greatest of them do."""
    least, greatest = min(all_), max(all_)
    same = 0
    for one, other in zip(least, greatest, strict=False):
        if one != other:
            break
        same += 1
    return least[:same]
