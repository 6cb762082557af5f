"""How much memory a process and all it started take. Linux only."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_SESSION = 3
"""Field of /proc/PID/stat after the name in brackets: state, ppid, pgrp, session (proc(5))."""


def proportional_set_size(session: int) -> int:
    """Bytes of memory of every process in a session: a page that several share counts in parts.

    A `child.ChildProcess` leads a session of its own, and ``pid`` is its id. The sum over all
    processes of a machine is what they use together (``Pss`` of ``smaps_rollup``, proc(5)).

    Raises:
        OSError: this system has no such figures.
    """
    total = 0
    for member in members(session):
        with suppress(ProcessLookupError, FileNotFoundError, PermissionError):
            for line in (_PROC / str(member) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def members(session: int) -> list[int]:
    """Ids of the processes of a session that live now. Raises OSError where /proc is not."""
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[_SESSION]) == session and fields[0] != "Z":
                    found.append(int(entry.name))
    return found
