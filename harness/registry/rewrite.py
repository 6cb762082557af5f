"""Mended texts on disk: shown as a diff first, then written all or none."""

from __future__ import annotations

import difflib
import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.registry.fixes import as_bytes, new_errors, read_texts
from harness.registry.masking import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.registry.fixes import Mended

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_HIDDEN = re.compile(r"[^\S \t\n]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\ufeff]")


class FixError(Exception):
    """Fixes that could not be written: says which file, why, and what the files hold now."""


def preview(mended: Mended) -> str:
    """The change as a unified diff; empty if there is none.

    Secrets are covered and characters that do not show are spelt out, so what is printed cannot
    always be fed to ``patch``.
    """
    parts: list[str] = []
    for file in mended.changed:
        texts = (mended.before[file], mended.after[file])
        before, after = ([_shown(line) for line in _LINE.findall(text)] for text in texts)
        name = file.removeprefix("/")  # a root of its own, as git shows files
        parts.extend(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"))
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in parts
    )


def apply(mended: Mended, *, replace: Callable[[Path, Path], object] = os.replace) -> list[Path]:
    """Write the mended texts, each file in one step; return those that changed.

    Where a file cannot be written, or the check of ``mended``, asked once more about what is
    now on disk, finds an error it did not find in memory, every file gets its old text back. A
    crash of the machine between two files can leave one old and one new, each whole.
    ``replace`` renames a file over another.

    Raises:
        FixError: a file has changed since it was read, could not be written, or was put back.
    """
    paths = {file: Path(os.path.realpath(file)) for file in mended.changed}
    on_disk = read_texts(Path(file) for file in mended.before)
    for file, text in mended.before.items():
        if on_disk.get(file) != text:
            raise FixError(f"{file} has changed since it was checked. Run the command again.")
    written: list[str] = []
    temporaries: list[Path] = []
    try:
        for file, path in paths.items():
            temporaries.append(_beside(path, mended.after[file]))
        for file, temporary in zip(paths, temporaries, strict=True):
            replace(temporary, paths[file])
            written.append(file)
        _confirm(mended)
    except BaseException as error:
        lost = _put_back(mended, {file: paths[file] for file in written})
        if lost:
            raise FixError(f"The fixes failed half-way ({error}). {' '.join(lost)}") from error
        if isinstance(error, OSError):
            where = error.filename or ", ".join(paths)
            why = error.strerror or error
            raise FixError(
                f"{where}: the fixes could not be written ({why}). Every file is as it was; "
                "free some space or fix the permissions, and run the command again."
            ) from error
        raise
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)
    for folder in {path.parent for path in paths.values()}:
        _flush(folder)
    return [Path(file) for file in mended.changed]


def _confirm(mended: Mended) -> None:
    """Check what is on disk once more."""
    texts = read_texts(Path(file) for file in mended.before)
    new = new_errors(mended.left, tuple(mended.check(texts)), ())
    if texts != dict(mended.after) or new:
        said = f" {new[0]}" if new else " Somebody else wrote to them meanwhile."
        raise FixError(f"The files as written are not as expected, so they were put back.{said}")


def _put_back(mended: Mended, paths: Mapping[str, Path]) -> list[str]:
    """Write the old texts; a sentence for each file where that fails too."""
    lost = []
    for file, path in paths.items():
        try:
            _beside(path, mended.before[file]).replace(path)
        except OSError as error:
            lost.append(f"{file} keeps its new text ({error}): restore it from version control.")
    return lost


def _beside(path: Path, text: str) -> Path:
    """A new file in the folder of ``path``, with its permissions, that holds ``text``."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(as_bytes(text))
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(stat.S_IMODE(path.stat().st_mode))
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _flush(folder: Path) -> None:
    """Make the renames in ``folder`` last, where the platform can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _shown(line: str) -> str:
    covered = masked(line.removesuffix("\n"))
    text = _HIDDEN.sub(lambda found: found.group().encode("unicode_escape").decode(), covered)
    ends = line.endswith("\n")
    return text.encode("utf-8", "backslashreplace").decode() + "\n" * ends
