"""What this machine offers to an installation: programs, processor, disk, memory."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MB = 1_000_000
_COMPILER_MB = 1_000
"""Memory of one compiler at its worst, with room; the largest file here takes about 700 MB."""


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk that ``folder`` is on, or will be on once it is made."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine as an installation sees it; a test hands in another one."""

    search_path: str | None = None
    """Where programs are looked for; None: ``$PATH``."""
    architecture: str = platform.machine()
    cpuinfo: Path = Path("/proc/cpuinfo")
    meminfo: Path = Path("/proc/meminfo")
    free: Callable[[Path], int] = free_bytes

    def program(self, *names: str) -> Path | None:
        """The first of these programs that is there."""
        for name in names:
            if found := shutil.which(name, path=self.search_path):
                return Path(found)
        return None

    def cpu_flags(self) -> frozenset[str]:
        """Instruction sets as Linux names them (``avx2``, ``fma``); empty where it does not say.

        Only those that every core has.
        """
        try:
            lines = self.cpuinfo.read_text(encoding="utf-8").splitlines()
        except OSError:
            return frozenset()
        cores = [
            set(flags.split())
            for name, _, flags in (line.partition(":") for line in lines)
            if name.strip() in {"flags", "Features"}
        ]
        return frozenset(set.intersection(*cores)) if cores else frozenset()

    def jobs(self) -> int:
        """Compilers to run at a time: one per core we may use, fewer where memory is short."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
        try:
            fields = self.meminfo.read_text(encoding="utf-8").split("MemAvailable:")[1].split()
            by_memory = int(fields[0]) * 1024 // (_COMPILER_MB * _MB)
        except (OSError, IndexError, ValueError):
            by_memory = cores
        return max(1, min(cores, by_memory))

    def libc(self) -> str:
        """Name and version of the C library, e.g. ``glibc2.36``: compiled code asks for it."""
        return "".join(platform.libc_ver()) or "libc"
