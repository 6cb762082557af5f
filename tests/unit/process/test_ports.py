from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from harness.process.ports import (
    LOOPBACK,
    PortTaken,
    Reservation,
    free_port,
    holder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
LISTENS = """
import socket, sys, time
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
print(flush=True)
time.sleep(600)
"""


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The command after its first line, killed at the end whatever happens."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def listen() -> socket.socket:
    return socket.create_server((LOOPBACK, 0))


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server((LOOPBACK, free_port())):
        pass


def test_a_taken_port_names_its_holder_and_a_way_out() -> None:
    with listen() as taken, pytest.raises(PortTaken) as caught:
        Reservation(port=taken.getsockname()[1])
    text = str(caught.value)
    assert str(caught.value.free) in text
    assert str(caught.value.port) in text
    assert caught.value.free != caught.value.port
    with socket.create_server((LOOPBACK, caught.value.free)):
        pass


@linux
def test_the_holder_is_the_process_that_listens_and_its_secrets_are_hidden() -> None:
    port = free_port()
    command = [sys.executable, "-c", LISTENS, str(port), "--api-key", "very-secret"]
    with running(command) as process:
        found = holder(port)
        with pytest.raises(PortTaken, match=str(process.pid)) as caught:
            Reservation(port=port)
    assert found is not None
    assert found.pid == process.pid
    assert "very-secret" not in str(caught.value)


@linux
def test_a_connected_socket_is_no_holder() -> None:
    with listen() as server, socket.create_connection(server.getsockname()) as client:
        assert holder(server.getsockname()[1]) is not None
        assert holder(client.getsockname()[1]) is None


def test_nobody_holds_a_free_port() -> None:
    assert holder(free_port()) is None
    Reservation(port=free_port()).close()


@linux
def test_a_reserved_port_refuses_and_still_lets_a_server_of_ours_listen() -> None:
    with Reservation() as kept:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, kept.port))
        for _ in range(2):  # it may die and come back
            command = [sys.executable, "-c", LISTENS, str(kept.port)]
            with running(command):
                socket.create_connection((LOOPBACK, kept.port)).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((LOOPBACK, kept.port))


def test_reserving_a_taken_port_says_who_has_it() -> None:
    with listen() as taken, pytest.raises(PortTaken, match=f"{os.getpid()}|another user"):
        Reservation(port=taken.getsockname()[1])
