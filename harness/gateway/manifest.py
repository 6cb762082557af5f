"""What a backup is made of: a folder named after its time, and a manifest of its files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.gateway.swap import STORE, StoreError, failed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MANIFEST = "manifest.json"
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_FORMAT = 1
_STAMP = re.compile(r"(\d{8})T(\d{6})\.(\d{6})Z")
_COMPACT = str.maketrans("", "", "-:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """One old generation. ``files`` holds the SHA-256 of each, None where there was no file.

    ``sources`` is the hash of the sources it was generated from, where the file says so.
    ``problem`` says why it cannot be used; only a look at the manifest and at which files
    are there, `verify` looks at their content.
    """

    path: Path
    made: datetime
    files: Mapping[str, str | None]
    sources: str | None = None
    problem: str | None = None

    @property
    def name(self) -> str:
        """The time it was made, as its folder is called."""
        return self.path.name


def list_backups(directory: Path) -> list[Backup]:
    """Every backup, the latest first, those that cannot be used among them.

    Raises:
        StoreError: the folder cannot be read.
    """
    try:
        folders = sorted((directory / STORE).iterdir(), reverse=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise failed(directory / STORE, "cannot be read", error) from error
    return [
        _read_backup(folder, made)
        for folder in folders
        if (made := _made(folder.name)) is not None and folder.is_dir()
    ]


def find(directory: Path, name: str) -> Backup:
    """The one backup whose name begins with ``name``; ``latest`` is the latest that is whole.

    Raises:
        StoreError: there is none, or several.
    """
    there = list_backups(directory)
    if name == "latest":
        matching = [one for one in there if one.problem is None][:1]
    else:
        matching = [one for one in there if name and one.name.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    if not there:
        raise StoreError(
            f"{directory / STORE}: there is no backup yet. "
            "`harness generate` makes one whenever it replaces a file."
        )
    shown = ", ".join(one.name for one in (matching or there)[:5])
    what = f"{len(matching)} backups begin with" if matching else "no backup is called"
    raise StoreError(f"{directory / STORE}: {what} {name!r}; there are {shown}.")


def folder_name(made: datetime) -> str:
    """The name of the folder of a backup made then (UTC): sortable, and fit for every system."""
    return made.replace(tzinfo=None).isoformat(timespec="microseconds").translate(_COMPACT) + "Z"


def _made(name: str) -> datetime | None:
    if _STAMP.fullmatch(name) is None:
        return None
    try:
        return datetime.strptime(name, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _read_backup(folder: Path, made: datetime) -> Backup:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        files, sources = _checked(manifest)
    except OSError as error:
        problem = f"its manifest cannot be read ({error.strerror})."
        return Backup(path=folder, made=made, files={}, problem=problem)
    except (ValueError, RecursionError) as error:
        problem = f"its manifest is damaged ({error})."
        return Backup(path=folder, made=made, files={}, problem=problem)
    lacking = [name for name, wanted in files.items() if wanted and not (folder / name).is_file()]
    return Backup(
        path=folder,
        made=made,
        files=files,
        sources=sources,
        problem=f"it lacks {', '.join(lacking)}." if lacking else None,
    )


def _checked(manifest: Any) -> tuple[dict[str, str | None], str | None]:
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise ValueError(f"it is not of format {_FORMAT}")
    files, sources = manifest.get("files"), manifest.get("sources_sha256")
    if not isinstance(files, dict) or not files or not isinstance(sources, str | None):
        raise ValueError("it lists no files")
    for name, wanted in files.items():
        # A path such as ../../x would be written outside the folder.
        if FILE_NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no plain file name")
        if wanted is not None and not (isinstance(wanted, str) and len(wanted) == 64):
            raise ValueError(f"the hash of {name} is none")
    return files, sources


def manifest(kept: Backup) -> bytes:
    """The manifest of a backup, as it is written."""
    content = {
        "format": _FORMAT,
        "made": kept.made.isoformat(),
        "sources_sha256": kept.sources,
        "files": dict(kept.files),
    }
    return json.dumps(content, indent=2).encode() + b"\n"
