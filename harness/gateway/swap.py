"""Several files replaced as one: all of them, or none.

POSIX renames one file atomically, not several. So the new files are first written out beside
a copy of the old ones, as a journal; from the moment the journal stands, the swap has
happened: whatever stops the program afterwards, `recover` ends it the same way. A failure
that leaves the program running is undone at once instead.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

STORE = ".backups"
"""Folder beside the files that holds backups, the journal and the lock; ignored by git."""

_JOURNAL = "journal"
_LIST = "journal.json"
_LOCK = "lock"
_TEMPORARY = ".tmp-"
_WAIT_S = 10.0
_POLL_S = 0.05


class StoreError(Exception):
    """The files could not be replaced, backed up or restored: what, why, and what to do."""


def nothing(_: str) -> None:
    """The default ``step``: what tests replace to fail before a step on the disk."""


@contextmanager
def locked(directory: Path, *, wait_s: float = _WAIT_S) -> Iterator[Path]:
    """Hold the folder's lock, end an interrupted swap, and give the path of the store.

    Another process that holds it is waited for, ``wait_s`` at most. The lock goes with the
    process that holds it, however that ends.

    Raises:
        StoreError: another process keeps the lock, or the folder cannot be written.
    """
    store = directory / STORE
    try:
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignore = store / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        handle = os.open(store / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise failed(store, "cannot be opened", error) from error
    try:
        _acquire(handle, store / _LOCK, wait_s)
        _clear(store)
        _recover(directory, store)
        yield store
    finally:
        os.close(handle)


def recover(directory: Path) -> bool:
    """End a swap that a crash interrupted; whether there was one. Cheap where there was none.

    Raises:
        StoreError: the files were edited since, so neither side can be completed.
    """
    if not (directory / STORE / _JOURNAL).is_dir():
        return False
    with locked(directory):
        return True


def swap(
    directory: Path,
    store: Path,
    files: Mapping[str, bytes | None],
    *,
    step: Callable[[str], None] = nothing,
) -> None:
    """Give every file its new content, or none: None removes it. The lock must be held.

    Raises:
        StoreError: nothing has changed; or, where undoing failed too, what will end it.
    """
    journal = store / _JOURNAL
    try:
        with staged(store, journal, step=step) as building:
            old = {name: read_if_there(directory / name) for name in files}
            entries: dict[str, Any] = {}
            for side, contents in (("old", old), ("new", files)):
                (building / side).mkdir()
                for name, data in contents.items():
                    entries.setdefault(name, {})[side] = None if data is None else sha256(data)
                    if data is not None:
                        write(building / side / name, data, step=step, mode=0o644)
            write(building / _LIST, json.dumps(entries).encode(), step=step)
    except OSError as error:
        raise failed(directory, "nothing was replaced", error) from error
    try:
        _move(directory, journal, entries, "new", step=step)
    except BaseException as error:
        try:
            _move(directory, journal, entries, "old", step=nothing)
            _drop(journal)
        except OSError as second:
            raise failed(
                directory,
                "the files are half replaced and could not be put back; the next harness command "
                "that writes them ends it",
                second,
            ) from error
        if isinstance(error, OSError):
            raise failed(directory, "nothing was replaced", error) from error
        raise
    # Every file is new by now; a journal that stays is ended again by the next command.
    with contextlib.suppress(OSError):
        step("drop the journal")
        _drop(journal)


@contextmanager
def staged(store: Path, target: Path, *, step: Callable[[str], None] = nothing) -> Iterator[Path]:
    """A folder to fill, which becomes ``target`` whole when the block ends, or never was."""
    step("make a temporary folder")
    building = Path(tempfile.mkdtemp(dir=store, prefix=_TEMPORARY))
    try:
        yield building
        for folder in [building, *(path for path in building.iterdir() if path.is_dir())]:
            sync_folder(folder)
        step(f"rename to {target.name}")
        building.rename(target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    sync_folder(store)


def write(
    path: Path, data: bytes, *, step: Callable[[str], None] = nothing, mode: int = 0o600
) -> None:
    """Write a new file, down to the disk."""
    step(f"write {path.name}")
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(mode)


def discard(folder: Path, store: Path) -> None:
    """Remove a folder of the store; a crash never leaves a part of it under its name."""
    trash = Path(tempfile.mkdtemp(dir=store, prefix=_TEMPORARY))
    folder.rename(trash / folder.name)
    shutil.rmtree(trash, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_if_there(path: Path) -> bytes | None:
    """The bytes of a file, None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def sha256(data: bytes) -> str:
    """The hash by which contents are compared, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def failed(path: Path, what: str, error: OSError) -> StoreError:
    """A system error, with its remedy."""
    remedy = {
        errno.ENOSPC: "The disk is full: free some space, then run the command again.",
        errno.EDQUOT: "Your disk quota is used up: free some space, then run it again.",
        errno.EFBIG: "The limit on the size of a file is reached (ulimit -f): raise it.",
        errno.EACCES: "Give this user write access to the folder.",
        errno.EPERM: "Give this user write access to the folder.",
        errno.EROFS: "The file system is read-only: write to another folder.",
        errno.ENOTDIR: "A file stands where a folder should be: move it away.",
        errno.EEXIST: "A file stands where a folder should be: move it away.",
    }.get(error.errno or 0, "See the system's message, then run the command again.")
    return StoreError(f"{path}: {what} ({error.strerror or error}). {remedy}")


def _acquire(handle: int, lock: Path, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise failed(lock, "cannot be locked", error) from error
            if time.monotonic() >= deadline:
                holder = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
                raise StoreError(
                    f"{lock}: another harness command (process {holder}) has been writing these "
                    f"files for {wait_s:g} s. Wait for it or end it, then run this one again."
                ) from None
            time.sleep(_POLL_S)
        else:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            return


def _clear(store: Path) -> None:
    """Remove what crashes left unfinished; the lock says that nobody is at it."""
    for litter in store.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(litter, ignore_errors=True)


def _recover(directory: Path, store: Path) -> None:
    journal = store / _JOURNAL
    try:
        written = read_if_there(journal / _LIST)
        if written is None:
            shutil.rmtree(journal, ignore_errors=True)
            return
        entries = json.loads(written)
        for side in ("new", "old"):
            if all(_can(directory, journal, name, entry, side) for name, entry in entries.items()):
                _move(directory, journal, entries, side, step=nothing)
                _drop(journal)
                return
    except OSError as error:
        raise failed(journal, "an interrupted swap could not be ended", error) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{journal}: the journal of an interrupted swap is damaged ({error}). Look at the "
            f"files in {directory}, then remove this folder and run `harness generate`."
        ) from error
    raise StoreError(
        f"{journal}: a swap was interrupted, and {', '.join(entries)} changed since, so it can "
        f"neither be ended nor undone. Its two sides lie in this folder: keep what you need, "
        "remove the folder and run `harness generate`."
    )


def _can(directory: Path, journal: Path, name: str, entry: dict[str, Any], side: str) -> bool:
    """Whether this file already is, or can become, what ``side`` of the journal says."""
    wanted = entry[side]
    present = read_if_there(directory / name)
    found = None if present is None else sha256(present)
    if found == wanted:
        return True
    if found not in (entry["old"], entry["new"]):
        return False
    waiting = read_if_there(journal / side / name)
    return wanted is None or (waiting is not None and sha256(waiting) == wanted)


def _move(
    directory: Path,
    journal: Path,
    entries: Mapping[str, Any],
    side: str,
    *,
    step: Callable[[str], None],
) -> None:
    for name, entry in entries.items():
        waiting = journal / side / name
        step(f"replace {name}")
        if entry[side] is None:
            (directory / name).unlink(missing_ok=True)
        elif waiting.exists():
            waiting.replace(directory / name)
    sync_folder(directory)


def _drop(journal: Path) -> None:
    """Without its list a journal is litter; that takes one step, and no space on the disk."""
    (journal / _LIST).unlink()
    sync_folder(journal)
    shutil.rmtree(journal, ignore_errors=True)
