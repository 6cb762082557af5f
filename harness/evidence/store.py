"""The append-only file of evidence: one record per line, nothing ever rewritten."""

from __future__ import annotations

import contextlib
import errno
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pydantic import ValidationError

from harness.evidence.record import Evidence

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

EVIDENCE_FILE = "evidence.jsonl"


class EvidenceError(Exception):
    """Evidence that could not be written or read: says where, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Evidences:
    """What a file of evidence held.

    ``cut_line`` is the number of a last line that broke off in mid-record (its
    writer was killed, or the disk was full), else None. That record is lost and
    is not among ``records``; every line before it is.
    """

    records: tuple[Evidence, ...]
    cut_line: int | None = None

    @property
    def truncated(self) -> bool:
        """Whether the last record was lost."""
        return self.cut_line is not None


class EvidenceStore:
    """An open file of evidence, as a context manager.

    Each record is in the operating system's hands when ``append`` returns, so a
    crash of this process loses nothing already appended; ``fsync`` on leaving
    guards against a crash of the machine. The file is opened for appending:
    records already in it stay.

    Raises:
        EvidenceError: the file cannot be opened, or its last line is cut.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            whole = self._ends_whole(self._fd)
        except OSError as error:
            self._close()
            raise _failed(self._path, "cannot be opened for appending", error) from error
        if not whole:
            self._close()
            raise EvidenceError(
                f"{self._path}: the last line is cut, a record appended now would be glued to it. "
                "Read the file as it is, and write new evidence to a new one."
            )
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._fd is None:
            return
        try:
            os.fsync(self._fd)
        except OSError as error:
            # Pipes and character devices cannot be synced; nothing is lost by that.
            if error.errno not in {errno.EINVAL, errno.ENOTSUP} and exc is None:
                raise _failed(self._path, "could not be forced to disk", error) from error
        finally:
            self._close()

    def append(self, evidence: Evidence) -> None:
        """Write one record as one line.

        Raises:
            EvidenceError: the store is closed, the record would not read back as
                itself, or the line could not be written; the file is then as before.
        """
        if self._fd is None:
            raise EvidenceError(
                f"{self._path}: the store is closed. "
                "Append inside `with EvidenceStore(path) as store:`."
            )
        line = _line(evidence)
        before = os.fstat(self._fd).st_size
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, before)
            raise _failed(self._path, f"did not take the record {evidence.check}", error) from error

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @staticmethod
    def _ends_whole(fd: int) -> bool:
        size = os.fstat(fd).st_size
        return size == 0 or os.pread(fd, 1, size - 1) == b"\n"


def read(path: Path) -> Evidences:
    """Every record of the file at ``path``, in the order it was appended.

    A last line without its line end that does not parse is a record cut off by
    a crash: it is left out and reported in ``Evidences.cut_line``.

    Raises:
        EvidenceError: no such file, or a whole line that is no record (file:line).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _failed(path, "cannot be read", error) from error
    # Only LF ends a line: U+2028 and its kin may stand inside a reason.
    *whole, rest = data.split(b"\n")
    records = [
        _record(path, number, line) for number, line in enumerate(whole, start=1) if line.strip()
    ]
    if not rest:
        return Evidences(tuple(records))
    number = len(whole) + 1
    try:
        records.append(Evidence.model_validate_json(rest))
    except ValidationError:
        return Evidences(tuple(records), cut_line=number)
    return Evidences(tuple(records))


def _line(evidence: Evidence) -> bytes:
    numbers = [("value", evidence.value), ("bound", evidence.bound)]
    numbers += [("interval", end) for end in evidence.interval or () if math.isnan(end)]
    for name, number in numbers:
        if isinstance(number, float) and not math.isfinite(number):
            raise EvidenceError(
                f"{evidence.check} of {evidence.subject}: {name} is {number}, which measures "
                "nothing. Record the verdict `inconclusive`, leave it empty and say why."
            )
    try:
        return evidence.model_dump_json().encode() + b"\n"
    except ValueError as error:
        raise EvidenceError(
            f"{evidence.check} of {evidence.subject}: the record is not text ({error}). "
            "Decode bytes from the wire with errors='backslashreplace' before recording them."
        ) from error


def _record(path: Path, number: int, line: bytes) -> Evidence:
    try:
        return Evidence.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        what = f"{place}: {first['msg']}" if place else str(first["msg"])
        raise EvidenceError(
            f"{path}:{number}: not a record of evidence: {what}. The file was edited or written by "
            "another version; restore it, or run again to gather new evidence."
        ) from error


def _failed(path: Path, what: str, error: OSError) -> EvidenceError:
    remedy = {
        errno.ENOSPC: "The disk is full: free some space or choose another --out, then run again. "
        "What was appended before is kept.",
        errno.EDQUOT: "Your disk quota is used up: free some space, then run again. "
        "What was appended before is kept.",
        errno.EFBIG: "The limit on the size of a file is reached: raise it (ulimit -f), then run "
        "again. What was appended before is kept.",
        errno.EACCES: "Give this user write access, or choose another directory.",
        errno.EROFS: "The file system is read-only: choose another directory.",
        errno.ENOENT: "Check the path; a run writes it while it gathers evidence.",
        errno.EISDIR: "A directory stands where the file should be: choose another path.",
        errno.ENOTDIR: "A file stands where a directory should be: choose another path.",
    }.get(error.errno or 0, "See the system's message, then run again.")
    return EvidenceError(f"{path}: {what} ({error.strerror or error}). {remedy}")
