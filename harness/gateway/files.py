"""Generated files on disk: written atomically, compared to the line."""

from __future__ import annotations

import os
import tempfile
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from harness.registry import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

DRIFT = "GW900"
MISSING = "GW901"
EXPLAINED = {
    DRIFT: """A generated file differs from its sources (error)

The file was edited by hand, or a source was changed without generating again. Either way the
gateway that is deployed is not the one that was reviewed and checked: the next generation would
silently undo the edit, or has not yet applied the change.

Remedy: run `harness generate`; put wanted changes into the sources.""",
    MISSING: """A generated file is missing (error)

The gateway would start from an old copy or not at all.

Remedy: run `harness generate`.""",
}
"""What ``harness explain`` says of each id."""

_REMEDY = "Run `harness generate` to write it anew; put wanted changes into the sources."


def write(directory: Path, files: Mapping[str, str]) -> list[Path]:
    """Write every file, each in one step; return those whose bytes changed.

    A crash leaves the old file or the new one, never a mixture.

    Raises:
        OSError: the folder cannot be written; nothing is half-written.
    """
    changed = []
    for name, text in files.items():
        path = directory / name
        data = text.encode()
        if path.is_file() and path.read_bytes() == data:
            continue
        _replace(path, data)
        changed.append(path)
    return changed


def drift(directory: Path, files: Mapping[str, str]) -> list[Finding]:
    """Where the files on disk differ from what the sources generate: one finding a file.

    The finding stands at the first line that differs and shows both sides.
    """
    return [
        finding for name, text in files.items() if (finding := _compare(directory / name, text))
    ]


def _compare(path: Path, text: str) -> Finding | None:
    try:
        found = path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return _finding(MISSING, path, 1, f"{path.name} has not been generated yet.")
    except OSError as error:
        return _finding(MISSING, path, 1, f"{path.name} cannot be read: {error.strerror}.")
    pairs = zip_longest(found.splitlines(keepends=True), text.splitlines(keepends=True))
    for number, (on_disk, generated) in enumerate(pairs, start=1):
        if on_disk != generated:
            return _finding(
                DRIFT,
                path,
                number,
                f"differs from its sources: the file has {_shown(on_disk)}, "
                f"the sources generate {_shown(generated)}.",
            )
    return None


def _shown(line: str | None) -> str:
    return "no such line" if line is None else repr(line.rstrip("\n"))


def _finding(rule: str, path: Path, line: int, message: str) -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        file=str(path),
        line=line,
        column=1,
        message=message,
        remedy=_REMEDY,
    )


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
