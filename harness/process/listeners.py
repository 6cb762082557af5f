"""Where a process listens, as the kernel tells it."""

from __future__ import annotations

import contextlib
import ipaddress
import struct
import sys
from pathlib import Path

_LISTEN = "0A"
"""State TCP_LISTEN in /proc/net/tcp (Linux, include/net/tcp_states.h)."""
_TABLES = ("tcp", "tcp6")


def listeners(pid: int) -> tuple[str, ...] | None:
    """``address:port`` of every TCP socket process ``pid`` listens on, sorted.

    Read from /proc (proc(5)), so it cannot be talked out of a wildcard. None where
    the platform has no such table or the process is gone.
    """
    proc = Path("/proc") / str(pid)
    if not (proc / "net/tcp").is_file():
        return None
    inodes = set()
    with contextlib.suppress(OSError):
        for link in (proc / "fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(str(link.readlink()))
    found = set()
    for table in _TABLES:
        with contextlib.suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and f"socket:[{fields[9]}]" in inodes:
                    found.add(_readable(fields[1]))
    return tuple(sorted(found))


def _readable(field: str) -> str:
    """``0100007F:1F90`` as ``127.0.0.1:8080``: 32-bit words in the machine's byte order."""
    address, _, port = field.partition(":")
    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
    order = "<" if sys.byteorder == "little" else ">"
    packed = b"".join(struct.pack(f"{order}I", word) for word in words)
    host = ipaddress.ip_address(packed)
    shown = f"[{host}]" if host.version == 6 else str(host)
    return f"{shown}:{int(port, 16)}"
