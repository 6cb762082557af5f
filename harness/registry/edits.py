"""A change of text at a place, and texts with such changes made."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.registry.tree import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Position = tuple[int, int]
"""Line and column, both from 1, columns in characters. A byte order mark is a character."""


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Put ``replacement`` where the text from ``start`` up to ``end`` stands in ``file``.

    An insertion has ``start == end``; a deletion has an empty ``replacement``.
    """

    file: str
    start: Position
    end: Position
    replacement: str


class OverlapError(ValueError):
    """Two edits change the same characters: making one of them would displace the other."""


class Offsets:
    """Positions in a text as offsets into it, and back."""

    def __init__(self, text: str) -> None:
        self._starts = [0]
        for line in lines_of(text)[:-1]:  # the breaks it drops take one character or two
            at = self._starts[-1] + len(line)
            self._starts.append(at + (2 if text.startswith("\r\n", at) else 1))
        self._length = len(text)

    def offset(self, position: Position) -> int:
        """The offset of ``position``; ``ValueError`` if it lies outside the text."""
        line, column = position
        if not 1 <= line <= len(self._starts) or column < 1:
            raise ValueError(f"there is no line {line}, column {column} in the text")
        limit = self._starts[line] if line < len(self._starts) else self._length
        offset = self._starts[line - 1] + column - 1
        if offset > limit:
            raise ValueError(f"line {line} has no column {column}")
        return offset

    def position(self, offset: int) -> Position:
        """The position of ``offset``."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def disjoint(edits: Iterable[Edit]) -> list[Edit]:
    """``edits`` by place, each once; of those that overlap, the first.

    Two insertions at one position overlap too, because their order is not told.
    """
    kept: list[Edit] = []
    for edit in sorted(set(edits)):
        if not kept or not _overlap(kept[-1], edit):
            kept.append(edit)
    return kept


def splice(text: str, edits: Sequence[Edit]) -> str:
    """``text`` with every edit made; all positions are those of ``text`` as it is given.

    Raises:
        OverlapError: two edits change the same characters.
        ValueError: an edit lies outside the text, or ends before it starts.
    """
    offsets = Offsets(text)
    ordered = sorted(edits)
    for one, other in pairwise(ordered):
        if _overlap(one, other):
            raise OverlapError(f"the edits at {one.start} and {other.start} overlap")
    parts, done = [], 0
    for edit in ordered:
        start, end = offsets.offset(edit.start), offsets.offset(edit.end)
        if end < start:
            raise ValueError(f"the edit at {edit.start} ends before it starts, at {edit.end}")
        parts += [text[done:start], edit.replacement]
        done = end
    return "".join([*parts, text[done:]])


def _overlap(one: Edit, other: Edit) -> bool:
    """Whether ``other``, which does not start before ``one``, touches the same characters."""
    same_file = one.file == other.file
    return same_file and (other.start < one.end or other.start == one.start)
