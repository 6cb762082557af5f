from __future__ import annotations

import os
import socket
import sys

import pytest

from harness.process.listeners import listeners

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux has /proc/net/tcp"
)


@pytest.mark.parametrize(
    ("family", "host", "shown"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0", "0.0.0.0"),
        (socket.AF_INET6, "::1", "[::1]"),
        (socket.AF_INET6, "::", "[::]"),
    ],
)
def test_a_listening_socket_is_shown_with_the_address_it_is_bound_to(
    family: socket.AddressFamily, host: str, shown: str
) -> None:
    with socket.create_server((host, 0), family=family) as server:
        assert f"{shown}:{server.getsockname()[1]}" in (listeners(os.getpid()) or ())


def test_a_socket_that_does_not_listen_is_not_shown() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert f"127.0.0.1:{bound.getsockname()[1]}" not in (listeners(os.getpid()) or ())


def test_a_process_that_is_gone_is_unknown_not_silent() -> None:
    assert listeners(2**22 + 1) is None
