"""What every format of findings needs: order, counts, safe text and paths."""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.registry import Finding, Severity
from harness.registry.source import MAX_BYTES
from harness.registry.tree import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BYTE_ORDER_MARK = "\ufeff"


class Explained(Protocol):
    """What a format says of a rule; :class:`harness.registry.Rule` fits."""

    @property
    def title(self) -> str:
        """What is wrong, without a full stop."""

    @property
    def why(self) -> str:
        """Why it matters."""

    @property
    def remedy(self) -> str:
        """What to do about it."""


def tally(findings: Iterable[Finding]) -> tuple[int, int]:
    """How many errors and how many warnings."""
    severities = [finding.severity for finding in findings]
    return severities.count(Severity.ERROR), severities.count(Severity.WARNING)


def counted(errors: int, warnings: int) -> str:
    """Both numbers in words: ``2 errors and 1 warning``; empty for none."""
    both = (errors, "error"), (warnings, "warning")
    return " and ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in both if n)


def one_line(text: str) -> str:
    r"""``text`` with every character spelt out that breaks a line, hides or moves others.

    Controls, bidirectional overrides, zero-width characters and lone surrogates become escapes
    such as ``\x1b``, so that no finding can forge a line of a log or bend a terminal.
    """
    if text.isprintable():
        return text
    return "".join(char if _shows(char) else spelt(char) for char in text)


def spelt(char: str) -> str:
    r"""The escape of one character, such as ``\u202e``."""
    return char.encode("unicode_escape").decode()


def _shows(char: str) -> bool:
    return char.isprintable() or unicodedata.category(char) == "Zs"


def encodable(text: str) -> str:
    """``text`` with lone surrogates spelt out: UTF-8 has no way to write them."""
    return text.encode("utf-8", "backslashreplace").decode()


def below(file: str, root: Path) -> str | None:
    """The path of ``file`` from ``root`` with ``/`` between steps; None if it is not below."""
    try:
        return Path(os.path.abspath(root / file)).relative_to(root).as_posix()  # noqa: PTH100
    except ValueError:
        return None


def read_text(file: str) -> str | None:
    """The text of ``file`` for excerpts; None where it cannot be read, is large or no file.

    Bytes that are not UTF-8 become U+FFFD, one or more for each run, so that what stands before
    the first of them keeps its column.
    """
    try:
        # Without O_NONBLOCK, opening a pipe would wait for its writer.
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    return None if len(data) > MAX_BYTES else data.decode("utf-8", "replace")


class Lines:
    """The lines of the files findings point into, each file read once."""

    def __init__(self, read: Callable[[str], str | None]) -> None:
        self._read = read
        self._texts: dict[str, str | None] = {}
        self._lines: dict[str, list[str]] = {}

    def text(self, file: str) -> str | None:
        """The whole text of ``file``, or None."""
        if file not in self._texts:
            self._texts[file] = self._read(file)
        return self._texts[file]

    def line(self, file: str, number: int) -> str | None:
        """Line ``number`` of ``file``, from 1, without a byte order mark; None if there is none."""
        if file not in self._lines:
            text = self.text(file)
            # Places do not count the mark as a column.
            self._lines[file] = [] if text is None else lines_of(text.removeprefix(BYTE_ORDER_MARK))
        lines = self._lines[file]
        return lines[number - 1] if 0 < number <= len(lines) else None
