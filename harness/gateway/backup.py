"""Old generations of the generated files: kept, listed, checked, brought back.

Each lies whole in a folder of its own, ``.backups/<time>/``, with the hash of every file.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.gateway.manifest import (
    FILE_NAME,
    MANIFEST,
    Backup,
    find,
    folder_name,
    list_backups,
    manifest,
)
from harness.gateway.plan import PlanError, behaviour
from harness.gateway.plan.reading import parse_config
from harness.gateway.retention import keep
from harness.gateway.swap import (
    StoreError,
    discard,
    failed,
    locked,
    nothing,
    read_if_there,
    sha256,
    staged,
    swap,
    write,
)
from harness.registry import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "ALTERED",
    "EXPLAINED",
    "INCOMPLETE",
    "UNREADABLE",
    "UNUSABLE",
    "Backup",
    "Replaced",
    "StoreError",
    "backup",
    "find",
    "list_backups",
    "replace",
    "restore",
    "verify",
]

_SOURCES = re.compile(r"^# sources-sha256: ([0-9a-f]{64})\s*$", re.MULTILINE)

UNREADABLE = "GW910"
INCOMPLETE = "GW911"
ALTERED = "GW912"
UNUSABLE = "GW913"
EXPLAINED = {
    UNREADABLE: """A backup has no readable manifest (error)

The manifest lists the files of a backup with their hashes. Without it nobody can say whether the
files are whole, so the backup is neither restored nor counted by the retention.

Remedy: restore another backup; remove this folder once you need nothing from it.""",
    INCOMPLETE: """A backup lacks a file (error)

Restoring it would bring back a part of an old generation beside a part of the present one.

Remedy: restore another backup; remove this folder once you need nothing from it.""",
    ALTERED: """A file in a backup is not what was backed up (error)

Its hash differs from the one taken when the backup was made: it was edited, or the disk lost
something.

Remedy: restore another backup; remove this folder once you need nothing from it.""",
    UNUSABLE: """A backup is whole, but the gateway could not start from it (warning)

The file was already broken when it was replaced, by a hand edit perhaps. Restoring brings back
exactly what was there.

Remedy: restore another backup, or generate the files anew.""",
}
"""What ``harness explain`` says of each id."""

_ELSE = "Choose another one of `harness backup list`."


@dataclass(frozen=True, slots=True)
class Replaced:
    """Which files have new content, and the backup that was made of the old, if one was."""

    written: tuple[Path, ...] = ()
    backup: Backup | None = None


def replace(
    directory: Path,
    files: Mapping[str, str],
    *,
    now: datetime,
    step: Callable[[str], None] = nothing,
) -> Replaced:
    """Write every file or none, a backup of the old ones first; nothing where nothing changes.

    Raises:
        StoreError: the folder could not be written or is kept locked; nothing has changed.
    """
    return _replace(directory, {name: text.encode() for name, text in files.items()}, now, step)


def backup(
    directory: Path,
    files: Sequence[str],
    *,
    now: datetime,
    step: Callable[[str], None] = nothing,
) -> Backup | None:
    """Keep a copy of ``files`` and let old copies go as `retention.keep` says.

    None where there is nothing to keep: no such file, or the latest backup equals them.

    Raises:
        StoreError: the copy could not be made; there is no half of it.
        ValueError: ``now`` has no time zone.
    """
    with locked(directory) as store:
        made = _backup(directory, store, files, now, step)
        _prune(directory, store, now=now, spare=None)
        return made


def restore(
    directory: Path,
    chosen: Backup,
    *,
    now: datetime,
    step: Callable[[str], None] = nothing,
) -> Replaced:
    """Bring back every file of a backup, or none; the present ones are backed up first.

    A file that did not exist then is removed.

    Raises:
        StoreError: the backup is damaged, or the folder could not be written; nothing has
            changed.
    """
    return _replace(directory, _contents(chosen), now, step, spare=chosen.path)


def verify(chosen: Backup) -> list[Finding]:
    """Restore a backup into a temporary folder and look at what arrives; empty if all is well.

    Each file must be there, have the hash of its manifest, and be one LiteLLM can start from.

    Raises:
        StoreError: the temporary folder could not be written.
    """
    if chosen.problem is not None:
        rule = UNREADABLE if not chosen.files else INCOMPLETE
        return [_finding(rule, chosen.path / MANIFEST, chosen.problem)]
    found: list[Finding] = []
    contents: dict[str, bytes | None] = {}
    for name, wanted in chosen.files.items():
        contents[name] = data = _read(chosen.path / name) if wanted is not None else None
        if wanted is not None and data is None:
            found.append(_finding(INCOMPLETE, chosen.path / name, f"{name} is missing."))
    try:
        with tempfile.TemporaryDirectory() as temporary:
            there = Path(temporary)
            with locked(there) as store:
                swap(there, store, contents)
            for name, wanted in chosen.files.items():
                data = read_if_there(there / name)
                if data is not None and wanted is not None:
                    found += _examined(chosen.path / name, data, wanted)
    except OSError as error:
        raise failed(Path(tempfile.gettempdir()), "the trial restore failed", error) from error
    return found


def _replace(
    directory: Path,
    files: Mapping[str, bytes | None],
    now: datetime,
    step: Callable[[str], None],
    *,
    spare: Path | None = None,
) -> Replaced:
    with locked(directory) as store:
        changed = {name: data for name, data in files.items() if _read(directory / name) != data}
        if not changed:
            return Replaced()
        made = _backup(directory, store, list(files), now, step)
        swap(directory, store, changed, step=step)
        _prune(directory, store, now=now, spare=spare)
        return Replaced(tuple(directory / name for name in changed), made)


def _backup(
    directory: Path,
    store: Path,
    files: Sequence[str],
    now: datetime,
    step: Callable[[str], None],
) -> Backup | None:
    made = _aware(now)
    contents = {name: _read(directory / _plain(name)) for name in files}
    hashes = {name: None if data is None else sha256(data) for name, data in contents.items()}
    if all(data is None for data in contents.values()):
        return None
    latest = next((one for one in list_backups(directory) if one.problem is None), None)
    if latest is not None and dict(latest.files) == hashes:
        return None
    while (store / folder_name(made)).exists():
        made += timedelta(microseconds=1)
    kept = Backup(
        path=store / folder_name(made), made=made, files=hashes, sources=_sources(contents.values())
    )
    try:
        with staged(store, kept.path, step=step) as building:
            for name, data in contents.items():
                if data is not None:
                    write(building / name, data, step=step)
            write(building / MANIFEST, manifest(kept), step=step)
    except OSError as error:
        raise failed(kept.path, "the backup was not made, nothing was replaced", error) from error
    return kept


def _prune(directory: Path, store: Path, *, now: datetime, spare: Path | None) -> None:
    """Let go what retention does not keep. What is damaged is left for a person to judge."""
    whole = {one.made: one for one in list_backups(directory) if one.problem is None}
    kept = keep(whole, now=now)
    for made, one in whole.items():
        if made not in kept and one.path != spare:
            # A backup too many is no reason to fail; the next one tries again.
            with contextlib.suppress(OSError):
                discard(one.path, store)


def _contents(chosen: Backup) -> dict[str, bytes | None]:
    if chosen.problem is not None:
        raise StoreError(f"{chosen.path}: {chosen.problem} Nothing was restored. {_ELSE}")
    contents: dict[str, bytes | None] = {}
    for name, wanted in chosen.files.items():
        data = None if wanted is None else _read(chosen.path / name)
        if wanted is not None and (data is None or sha256(data) != wanted):
            what = "missing" if data is None else "not what was backed up: its hash differs"
            raise StoreError(f"{chosen.path / name}: {what}. Nothing was restored. {_ELSE}")
        contents[name] = data
    return contents


def _examined(path: Path, data: bytes, wanted: str) -> list[Finding]:
    if sha256(data) != wanted:
        message = f"{path.name} is not what was backed up: its hash differs."
        return [_finding(ALTERED, path, message)]
    if path.suffix not in {".yaml", ".yml"}:
        return []
    try:
        behaviour(parse_config(data.decode(), path.name))
    except UnicodeDecodeError as error:
        return [_finding(UNUSABLE, path, f"it is no UTF-8 text at byte {error.start}.")]
    except PlanError as error:
        return [_finding(UNUSABLE, path, str(error), line=error.line)]
    return []


def _finding(rule: str, path: Path, message: str, *, line: int = 1) -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.WARNING if rule == UNUSABLE else Severity.ERROR,
        file=str(path),
        line=line,
        column=1,
        message=message,
        remedy=_ELSE,
    )


def _read(path: Path) -> bytes | None:
    try:
        return read_if_there(path)
    except OSError as error:
        raise failed(path, "cannot be read, nothing was changed", error) from error


def _sources(contents: Any) -> str | None:
    for data in contents:
        found = _SOURCES.search((data or b"")[:4096].decode(errors="replace"))
        if found is not None:
            return found[1]
    return None


def _plain(name: str) -> str:
    if FILE_NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no plain file name: give names inside the folder.")
    return name


def _aware(now: datetime) -> datetime:
    if now.tzinfo is None:
        raise ValueError("now has no time zone: use datetime.now(UTC).")
    return now.astimezone(UTC)
