"""Ports on this machine: a free one, one kept, and who holds a taken one."""

from __future__ import annotations

import contextlib
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.process.secrets import show_command

if TYPE_CHECKING:
    from types import TracebackType

LOOPBACK = "127.0.0.1"
_LISTEN = "0A"
"""State TCP_LISTEN in /proc/net/tcp (Linux, include/net/tcp_states.h)."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that listens on a port; ``command`` has no secret in it."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.command} (process {self.pid})"


class PortTaken(RuntimeError):  # noqa: N818 - the noun says what happened
    """Somebody listens where a server was to listen.

    Attributes: ``port``; ``holder``, None where it cannot be seen; ``free``, a port to use instead.
    """

    id = "port.taken"

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        self.port = port
        self.holder = holder(port)
        self.free = free_port(host)
        who = f"held by {self.holder}" if self.holder else "held by a process of another user"
        super().__init__(
            f"port {port} on {host} is {who}, so nothing else can listen there. "
            f"Stop that process, or use a free port, for example {self.free}."
        )


def free_port(host: str = LOOPBACK) -> int:
    """A port nobody listens on now. Another process may take it next: see `Reservation`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def holder(port: int) -> Holder | None:
    """Who listens on a TCP port, as far as /proc of a Linux machine tells; else None."""
    inodes = _listening(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(str(link.readlink()) in wanted for link in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                return Holder(int(process.name), show_command(words[:-1]))
    return None


def _listening(port: int) -> set[str]:
    """Inodes of the sockets that listen on ``port`` (proc(5), /proc/net/tcp)."""
    found: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found


class Reservation:
    """A port that stays ours while nobody listens on it, so a server can die and come back.

    A bound socket that does not listen refuses connections, keeps the port out of everybody's
    automatic choice, and on Linux lets a server that sets SO_REUSEADDR listen on the same port.
    Elsewhere the port is only found free, and a stranger may take it in between.
    """

    def __init__(self, host: str = LOOPBACK, port: int = 0) -> None:
        """Bind ``port``, or any free one for 0. Raises `PortTaken`."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise PortTaken(port, host) from error
        self.port: int = self._socket.getsockname()[1]
        if not sys.platform.startswith("linux"):
            self._socket.close()

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
