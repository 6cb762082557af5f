from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

import pytest

from harness.wire.engine import natives
from harness.wire.engine.natives import IN, OUT, Bell

if TYPE_CHECKING:
    from harness.wire.engine.natives import Poller


def pollers() -> list[Poller]:
    made: list[Poller] = [natives._Poll(select.poll())]
    if hasattr(select, "epoll"):
        made.append(natives.poller())
    return made


@pytest.mark.parametrize("poller", pollers(), ids=lambda poller: type(poller).__name__)
def test_a_poller_says_what_is_ready(poller: Poller) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        poller.register(ours.fileno(), IN)
        assert poller.poll(0.0) == []
        assert poller.poll(0.001) == []
        theirs.sendall(b"x")
        assert poller.poll(1.0) == [(ours.fileno(), IN)]
        poller.modify(ours.fileno(), IN | OUT)
        assert poller.poll(1.0) == [(ours.fileno(), IN | OUT)]
        poller.unregister(ours.fileno())
        assert poller.poll(0.0) == []


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="needs epoll")
def test_a_wait_of_microseconds_is_not_rounded_to_nothing() -> None:
    poller = natives.poller()
    begun = time.monotonic_ns()
    poller.poll(0.0003)
    assert time.monotonic_ns() - begun >= 300_000
    poller.close()


def test_a_bell_rings_until_it_is_hushed() -> None:
    bell = Bell()
    assert not bell.wait(0)
    for _ in range(3):
        bell.ring()
    assert bell.wait(None)
    assert bell.wait(0)
    bell.hush()
    assert not bell.wait(0)
    bell.hush()
    bell.close()
    bell.close()


def test_a_closed_bell_can_be_rung_and_touches_nobody_elses_descriptor() -> None:
    bell = Bell()
    bell.close()
    ours, theirs = socket.socketpair()  # may well have the number the bell had
    with ours, theirs:
        bell.ring()
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(8)


def test_a_bell_works_without_eventfd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.eventfd", raising=False)
    test_a_bell_rings_until_it_is_hushed()


def test_a_thread_runs_beside_its_starter() -> None:
    bell = Bell()
    natives.start_thread(bell.ring)
    assert bell.wait(30)
    bell.close()


def test_a_bell_that_was_heard_rings_again() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    assert bell.wait(0)
    bell.hush()
    assert not bell.wait(0)
    bell.ring()
    assert bell.wait(0)
    bell.close()
