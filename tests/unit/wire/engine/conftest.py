"""Loopback servers on plain threads: what they say is written out in the test."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import pytest

Script = Callable[["Visit"], None]
Serving = Callable[[Script], AbstractContextManager[str]]


class Visit:
    """One connection, as the server sees it."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.number = sock, number
        self._file = sock.makefile("rb")

    def request(self) -> bytes:
        """Read a whole request; empty when the client has left."""
        head = b""
        while line := self._file.readline():
            head += line
            if line == b"\r\n":
                break
        length = re.search(rb"(?im)^content-length: (\d+)", head)
        return head + self._file.read(int(length[1]) if length else 0)

    def say(self, *parts: bytes) -> None:
        for part in parts:
            self.sock.sendall(part)

    def gone(self) -> None:
        """Wait until the client has closed its side, or broken off."""
        with suppress(OSError):
            self._file.read()

    def reset(self) -> None:
        """Abort the connection with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._file.close()
        self.sock.close()


@contextmanager
def _serving(script: Script) -> Iterator[str]:
    visits: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:

        def visit(sock: socket.socket, number: int) -> None:
            with sock, suppress(OSError):
                script(Visit(sock, number))

        def accept() -> None:
            with suppress(OSError):  # the listener was closed
                while True:
                    sock, _ = listener.accept()
                    thread = threading.Thread(target=visit, args=(sock, len(visits)))
                    visits.append(thread)
                    thread.start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in visits:
                thread.join()


@pytest.fixture
def serving() -> Serving:
    """``with serving(script) as url``; leaves only when every visit has ended."""
    return _serving


@pytest.fixture(scope="session")
def one_server() -> Iterator[Callable[[Script], str]]:
    """Set what the one server says next and get its URL; for many examples of one property."""
    scripts: list[Script] = []

    def newest(visit: Visit) -> None:
        scripts[-1](visit)

    with _serving(newest) as url:

        def saying(script: Script) -> str:
            scripts.append(script)
            return url

        yield saying
