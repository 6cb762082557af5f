"""What makes a finding the same one after lines above it have moved."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING

from harness.registry.masking import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.registry import Finding
    from harness.report.findings.view import Lines

_BLOCK = 100
_BASE = 37
_MODULUS = 2**64
_END = 0xFFFF
_BREAK = re.compile("\r\n|\r")
_LINE_START = re.compile("(?<=\n)")


def line_fingerprints(
    findings: Sequence[Finding], lines: Lines, path: Callable[[str], str]
) -> list[str]:
    """A hash for each finding over its rule, its file and the text of its line.

    Where equal ones stand in one file, they are numbered in order: ``<hash>:1``, ``<hash>:2``.
    The number of the line does not count, nor does its indentation, nor the wording of the
    message where there is a line. Secrets in the line are covered before it is hashed. ``path``
    names a file the same way on every machine.
    """
    seen: Counter[str] = Counter()
    made = []
    for finding in findings:
        line = lines.line(finding.file, finding.line)
        what = finding.message if line is None else masked(line).strip()
        said = f"{finding.rule}\n{path(finding.file)}\n{what}"
        digest = hashlib.sha256(said.encode("utf-8", "backslashreplace")).hexdigest()[:32]
        seen[digest] += 1
        made.append(f"{digest}:{seen[digest]}")
    return made


class LineHashes:
    """The hash of each line as GitHub computes it for ``primaryLocationLineHash``.

    A polynomial hash (base 37, modulo 2^64) of the 100 UTF-16 code units from the start of the
    line on, without spaces and tabs, with every line break as a line feed, 0xFFFF for the end
    of the file and zeros after it; then a colon and how often this hash has occurred so far
    (github/codeql-action, "fingerprints"). Having the same keeps its upload from warning.
    """

    def __init__(self, text: str) -> None:
        unified = _BREAK.sub("\n", text).replace(" ", "").replace("\t", "")
        units = unified.encode("utf-16-le", "surrogatepass")
        self._units = units + _END.to_bytes(2, "little") + bytes(2 * _BLOCK)
        sizes = [len(line.encode("utf-16-le", "surrogatepass")) for line in _split(unified)]
        self._windows: list[tuple[bytes, int]] = []
        seen: Counter[bytes] = Counter()
        start = 0
        for size in sizes:
            window = self._units[start : start + 2 * _BLOCK]
            seen[window] += 1
            self._windows.append((window, seen[window]))
            start += size

    def __getitem__(self, number: int) -> str:
        """The hash of line ``number``, from 1, as ``hex:count``.

        Raises:
            IndexError: there is no such line.
        """
        if number < 1:
            raise IndexError(number)
        window, count = self._windows[number - 1]
        value = 0
        for index in range(0, len(window), 2):
            value = (value * _BASE + int.from_bytes(window[index : index + 2], "little")) % _MODULUS
        return f"{value:x}:{count}"


def _split(text: str) -> list[str]:
    return _LINE_START.split(text)
