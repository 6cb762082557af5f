from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for every test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("HARNESS_CACHE", str(folder))
    return folder


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A folder to be the whole PATH of a machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


@pytest.fixture
def script(bin_folder: Path) -> Script:
    """Put a program on that PATH."""

    def write(name: str, text: str = "exit 0") -> Path:
        path = bin_folder / name
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{text}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def cpuinfo(tmp_path: Path) -> Callable[[str], Path]:
    """A /proc/cpuinfo of two cores with these flags."""

    def write(flags: str) -> Path:
        path = tmp_path / "cpuinfo"
        core = f"processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu {flags}\n\n"
        path.write_text(core * 2)
        return path

    return write
