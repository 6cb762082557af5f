"""The lossless record of a load: one row a request, in a folder that several writers share.

A journal is a folder. ``run.json`` holds what all rows have in common, and each worker has its
own ``requests-<worker>.jsonl``: a first line that says what the file is, a line for every request
in the order in which they ended, and a last line that says it came to its end. Merging the
workers of a run is reading their files together; a file without its last line, or a ``run.json``
that was never finished, makes the journal partial, and its rows stay good.

Times are CLOCK_REALTIME nanoseconds, so that rows of several machines and an engine's own samples
lie on one axis.
"""

from __future__ import annotations

import errno
import heapq
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

from harness.load.journal.rows import Row, dump, failure_of, load, row_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = [
    "Facts",
    "Journal",
    "JournalError",
    "Row",
    "Rows",
    "Writer",
    "begin",
    "dump",
    "failure_of",
    "finish",
    "load",
    "require_vacant",
    "row_of",
]

SCHEMA = 1
"""Version of the format, in ``run.json`` and in the first line of every file of rows."""

FACTS_FILE = "run.json"
UNFINISHED = "the run never said that it ended"

_KIND = "llm-gateway-harness load"
_ROWS = "requests-{}.jsonl"
_TAIL_BYTES = 1 << 16


class JournalError(Exception):
    """A journal that cannot be written or read; the text says what is safe and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What all rows of a run have in common.

    ``partial`` says why rows are missing: until the run has said otherwise, because it never
    ended. Written once at the start, the file tells the truth about a run that was killed.
    """

    profile: str
    seed: int
    host: str
    """The base URL that was asked."""
    engine: str
    """What stood behind it: emulated, real, remote or unknown; of several kinds, which is which."""
    begun_unix_ns: int
    ended_unix_ns: int | None = None
    workers: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else a profile wants to keep, ready for JSON: settings, vitals, verdicts."""
    partial: str | None = UNFINISHED


def begin(folder: Path, facts: Facts) -> None:
    """Make ``folder`` and write ``run.json``, whose rows are still to come.

    Raises:
        JournalError: there is a journal already, or it cannot be written.
    """
    require_vacant(folder)
    _put_facts(folder, facts)


def require_vacant(folder: Path) -> None:
    """Raise `JournalError` if there is a journal in ``folder`` already."""
    if (folder / FACTS_FILE).exists():
        raise JournalError(
            f"{folder} holds a journal: one is written once and never overwritten. "
            "Give another name, or remove the folder."
        )


def finish(folder: Path, facts: Facts, *, partial: str | None) -> Facts:
    """Replace ``run.json``, whole or not at all: the run is over. Returns what was written.

    Raises:
        JournalError: it cannot be written; the journal then stays partial.
    """
    ended = replace(facts, partial=partial)
    _put_facts(folder, ended)
    return ended


class Writer:
    """Appends the rows of one ``worker`` to the journal in ``folder``.

    Every row is in the operating system's hands when `add` returns: a crash of this process
    loses nothing. With ``facts`` it is the only writer and looks after ``run.json`` too;
    without, somebody else calls `begin` and `finish`.

    Raises:
        JournalError: this worker has written here before, or the folder cannot be written.
    """

    def __init__(self, folder: Path, *, worker: str = "0", facts: Facts | None = None) -> None:
        self.path = folder / _ROWS.format(re.sub(r"[^\w.-]", "-", worker))
        self.written = 0
        """Rows that are safe."""
        self._folder, self._worker, self._facts = folder, worker, facts
        if facts is not None:
            begin(folder, facts)
        try:
            self._fd: int | None = os.open(
                self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644
            )
        except FileExistsError:
            raise JournalError(
                f"{self.path} exists: a worker writes its rows once. Give another name."
            ) from None
        except OSError as error:
            raise _failed(self.path, error, 0) from error
        self._line({"journal": _KIND, "schema": SCHEMA, "worker": worker})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(None if error is None else f"{type(error).__name__}: {error}".rstrip(": "))

    def add(self, row: Row) -> None:
        """Append ``row``.

        Raises:
            JournalError: the disk is full or the file is closed; what was written stays good.
        """
        self.add_lines([json.dumps(dump(row), separators=(",", ":")).encode()])

    def add_lines(self, lines: Sequence[bytes]) -> None:
        """Append rows that are lines of JSON already, as `dump` makes them, without their ends.

        Raises:
            JournalError: as `add`. A line that is no row is found when the journal is read.
        """
        if self._fd is None:
            raise JournalError(f"{self.path} is closed ({self.written} rows in it are safe).")
        self._put(b"".join(line + b"\n" for line in lines))
        self.written += len(lines)

    def close(self, partial: str | None = None) -> None:
        """Write the last line: the rows are complete, or ``partial`` says why not.

        Raises:
            JournalError: it cannot be written; the journal then reads as partial.
        """
        if self._fd is None:
            return
        try:
            self._line({"rows": self.written, "partial": partial})
        finally:
            self._shut()
        if self._facts is not None:
            whole = replace(self._facts, workers=self._facts.workers or (self._worker,))
            finish(self._folder, whole, partial=partial)

    def _line(self, document: Mapping[str, Any]) -> None:
        self._put(json.dumps(document, separators=(",", ":")).encode() + b"\n")

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest and self._fd is not None:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            self._shut()
            raise _failed(self.path, error, self.written) from error

    def _shut(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class Rows(Iterable[Row]):
    """The rows of several files, in the order in which the requests ended; read anew each time.

    Reading holds one row a file in memory, however long the run was.

    Raises:
        JournalError: while iterating, a line in the middle that is no row (file:line).
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = tuple(files)

    def __iter__(self) -> Iterator[Row]:
        return heapq.merge(*map(_rows, self._files), key=attrgetter("ended_unix_ns"))

    def by_due(self) -> tuple[Row, ...]:
        """All of them at once, in the order in which they were due."""
        return tuple(sorted(self, key=attrgetter("due_unix_ns", "number")))


@dataclass(frozen=True, slots=True)
class Journal:
    """A run as it was written down; ``facts.partial`` says whether all of it was."""

    facts: Facts
    rows: Rows

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open the journal in ``folder``; its rows are read when they are asked for.

        Raises:
            JournalError: there is none, or it is not one that this version reads.
        """
        facts = _facts(folder / FACTS_FILE)
        files = sorted(folder.glob(_ROWS.format("*")))
        reasons = [facts.partial] if facts.partial else []
        workers = []
        for file in files:
            worker, partial = _ends(file)
            workers.append(worker)
            if partial is not None and partial not in reasons:
                reasons.append(partial)
        reasons += [
            f"worker {worker} left no rows" for worker in sorted(set(facts.workers) - set(workers))
        ]
        named = tuple(sorted({*facts.workers, *workers}))
        return cls(replace(facts, workers=named, partial="; ".join(reasons) or None), Rows(files))


def _rows(path: Path) -> Iterator[Row]:
    worker = ""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # torn: its writer died over it
            try:
                said = json.loads(line)
                if number == 1:
                    worker = str(said["worker"])
                elif "met" in said:
                    yield load(said, worker=worker)
                elif "rows" not in said:
                    raise ValueError("neither a row nor the end")  # noqa: TRY301
            except (ValueError, TypeError, KeyError) as error:
                raise JournalError(
                    f"{path}:{number} is no row ({error!r}): the file was edited, or written by "
                    "another version. Run again for a whole journal."
                ) from error


def _ends(path: Path) -> tuple[str, str | None]:
    """Whose file it is, and why it is partial, if it is."""
    with path.open("rb") as file:
        head = _document(file.readline())
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        tail = file.read().rsplit(b"\n", 2)
    if head.get("journal") != _KIND or head.get("schema") != SCHEMA:
        if not head:  # its writer died over the first line
            return path.stem.removeprefix("requests-"), f"{path.name} breaks off at its beginning"
        raise JournalError(f"{path} is no file of rows with schema {SCHEMA}. Run again.")
    worker = str(head["worker"])
    last = _document(tail[-2] + b"\n") if len(tail) > 1 and not tail[-1] else {}
    if "rows" not in last or "met" in last:
        return worker, f"the rows of worker {worker} break off: it ended before its time"
    partial = last["partial"]
    return worker, None if partial is None else str(partial)


def _document(line: bytes) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        return {}
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _facts(path: Path) -> Facts:
    try:
        said = json.loads(path.read_bytes())
        schema = said.pop("schema")
        if schema != SCHEMA:
            raise JournalError(
                f"{path} has schema {schema!r}; this version reads schema {SCHEMA}. Run again."
            )
        return Facts(**{**said, "workers": tuple(said["workers"])})
    except OSError as error:
        raise JournalError(
            f"{path} cannot be read ({error.strerror or error}). Name the folder of a load run; "
            f"it holds {FACTS_FILE} beside {_ROWS.format('*')}."
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise JournalError(
            f"{path} holds no facts of a load run ({error!r}): it was edited, or written by "
            "another version. Run again."
        ) from error


def _put_facts(folder: Path, facts: Facts) -> None:
    path = folder / FACTS_FILE
    fresh = folder / f".{FACTS_FILE}-{os.getpid()}"
    said = {"schema": SCHEMA} | {one.name: getattr(facts, one.name) for one in fields(facts)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise _failed(path, error, 0) from error


def _failed(path: Path, error: OSError, written: int) -> JournalError:
    remedy = "Check the path and its permissions."
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        remedy = "Free space or journal elsewhere, then run again."
    return JournalError(
        f"cannot write {path}: {error.strerror or error}. {written} rows written before are safe "
        f"and readable. {remedy}"
    )
