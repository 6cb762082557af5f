"""What stands in a finished folder, so that a lost, cut or foreign file is noticed later."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from harness.process.venv import STAMP

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_LARGE_BYTES = 1_000_000
"""Files from this size on are listed, beside programs and shared libraries of any size."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Version, size on disk, and the size of every program, shared library and large file."""

    version: str
    bytes: int
    programs: tuple[str, ...]
    """Paths below the folder; they must be executable."""
    files: dict[str, int]
    """Bytes of each program, library and large file, by path below the folder."""

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The stamp of a finished folder; None if there is none that can be read."""
        try:
            data = json.loads((folder / STAMP).read_text(encoding="utf-8"))
            return cls(**{**data, "programs": tuple(data["programs"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    @classmethod
    def write(cls, folder: Path, version: str, programs: Iterable[Path]) -> Self:
        """Look at what was built and write its stamp, whole or not at all."""
        names = tuple(str(program.relative_to(folder)) for program in programs)
        files = {name: (folder / name).stat().st_size for name in names}
        for base, _, found in os.walk(folder):
            for name in found:
                path = os.path.join(base, name)  # noqa: PTH118 - tens of thousands of files
                size = os.stat(path).st_size if os.path.exists(path) else 0  # noqa: PTH110, PTH116
                if size >= _LARGE_BYTES or (size and ".so" in name):
                    files[os.path.relpath(path, folder)] = size
        stamp = cls(version, folder_bytes(folder), names, files)
        partial = folder / f"{STAMP}.partial"
        partial.write_text(json.dumps(asdict(stamp), indent=1), encoding="utf-8")
        partial.replace(folder / STAMP)
        return stamp

    def damage(self, folder: Path) -> list[str]:
        """What is wrong with the files it lists, e.g. ``bin/llama-server is missing``."""
        wrong = []
        for name, size in self.files.items():
            path = folder / name
            try:
                found = path.stat().st_size
            except OSError:
                wrong.append(f"{name} is missing")
                continue
            if found != size:
                wrong.append(f"{name} has {found} bytes, not {size}")
            elif name in self.programs and not os.access(path, os.X_OK):
                wrong.append(f"{name} is not executable")
        return wrong


def delete(folder: Path) -> None:
    """Delete a folder, its stamp first: a half-deleted one must not look finished."""
    (folder / STAMP).unlink(missing_ok=True)
    shutil.rmtree(folder)


def folder_bytes(folder: Path) -> int:
    """Bytes that a folder takes on disk; a file with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for base, _, names in os.walk(folder):
        for name in names:
            stat = os.lstat(os.path.join(base, name))  # noqa: PTH118 - tens of thousands of files
            seen[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
    return sum(seen.values())


def megabytes(count: int) -> str:
    """Bytes as ``142 MB`` or ``2.5 GB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
