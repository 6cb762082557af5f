"""A line of a source file with a caret under one place of it."""

from __future__ import annotations

import re

from rich.cells import cell_len

from harness.registry.masking import masked
from harness.report.findings.view import one_line

GAP = "..."
"""Stands where a long line was cut."""
_TAB = "    "
_TOKEN = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'|[^\s,\[\]{}]+")
_MOST_MASKED = 20_000


def excerpt(line: str, column: int, *, width: int) -> tuple[str, str]:
    """``line`` as a terminal shows it, and the carets to print below it.

    ``column`` counts characters from 1; the carets run to the end of the word there. A longer
    line is cut to about ``width`` cells round the place. Wide characters take two cells and
    tabs four; what a terminal would not show is spelt out; secrets are covered.
    """
    at = min(max(column - 1, 0), len(line))
    # Far from the place nothing is shown: a line of megabytes costs no more than a short one.
    first = max(0, at - _MOST_MASKED)
    line, at = masked(line[first : at + _MOST_MASKED]), at - first
    start, end = _window(line, at, width)
    before, after = _drawn(line[start:at]), _drawn(line[at:end])
    mark = _drawn(line[at : min(_word_end(line, at), end)])
    left = GAP if start or first else ""
    right = GAP if end < len(line) else ""
    indent = " " * cell_len(left + before)
    return left + before + after + right, indent + "^" * max(1, cell_len(mark))


def word_length(line: str, column: int) -> int:
    """How many characters the word at ``column`` (from 1) has; 0 past the end of ``line``."""
    at = max(column - 1, 0)
    return _word_end(line, at) - at if at < len(line) else 0


def _drawn(text: str) -> str:
    return one_line(text.replace("\t", _TAB))


def _cells(char: str) -> int:
    return cell_len(_drawn(char))


def _window(line: str, at: int, width: int) -> tuple[int, int]:
    """The part of ``line`` round ``at`` that fits in ``width`` cells; the whole if that fits."""
    room = max(width, 20)
    start, used = _back(line, at, room // 2)
    end = at
    while end < len(line) and used + (cells := _cells(line[end])) <= room:
        used += cells
        end += 1
    if end == len(line):  # what the right side did not need goes to the left
        start, _ = _back(line, at, room - (used - _width(line[start:at])))
    return start, end


def _back(line: str, at: int, room: int) -> tuple[int, int]:
    start, used = at, 0
    while start and used + (cells := _cells(line[start - 1])) <= room:
        used += cells
        start -= 1
    return start, used


def _width(text: str) -> int:
    return sum(map(_cells, text))


def _word_end(line: str, at: int) -> int:
    found = _TOKEN.match(line, at)
    if found is None:
        return at
    word = found.group()
    return found.end() - (word.endswith(":") and len(word) > 1)
