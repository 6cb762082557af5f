"""Threads, locks and pollers of the interpreter itself, also where gevent has replaced them.

gevent's ``monkey.patch_all`` turns threads into greenlets and takes ``epoll`` away. The engine's
thread must be a real one beside the hub, so it asks gevent for what it replaced.
"""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import _thread
    from collections.abc import Callable

IN, OUT, BROKEN = 0x1, 0x4, 0x8 | 0x10
"""What a poller reports: readable, writable, and error or hang-up (poll.h; the same in epoll)."""

MOST_EVENTS = 512
_RING = (1).to_bytes(8, sys.byteorder)  # eventfd(2) counts up by it
_DESCRIPTORS_OF_SELECT = 1024


class Poller(Protocol):
    """Which descriptors are ready."""

    def register(self, fd: int, mask: int, /) -> object:
        """Watch ``fd``."""

    def modify(self, fd: int, mask: int, /) -> object:
        """Watch ``fd`` for something else."""

    def unregister(self, fd: int, /) -> object:
        """Watch ``fd`` no more."""

    def poll(self, seconds: float) -> list[tuple[int, int]]:
        """Wait until something is ready, or for so long."""

    def close(self) -> None:
        """Free its own descriptor, where it has one."""


def _native(module: str, name: str) -> Any:
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(import_module(module), name)


def start_thread(run: Callable[[], None]) -> int:
    """Run ``run`` in a native thread that does not keep the process alive; returns its ident."""
    return int(_native("_thread", "start_new_thread")(run, ()))


def thread() -> int:
    """The ident of the calling native thread."""
    return int(_ident()())


@cache
def _ident() -> Any:
    return _native("_thread", "get_ident")


def lock() -> _thread.LockType:
    """Make a native lock, for critical sections of microseconds."""
    made: _thread.LockType = _maker()()
    return made


@cache
def _maker() -> Any:
    return _native("_thread", "allocate_lock")


def poller() -> Poller:
    """Make the best poller of the platform: epoll on Linux, else poll."""
    try:
        return _Epoll(_native("select", "epoll")())
    except AttributeError:
        return _Poll(_native("select", "poll")())


def pause() -> Any:
    """``select.select`` itself, which waits to the microsecond."""
    return _native("select", "select")


class _Epoll:
    """epoll, waiting to the microsecond: ``epoll_wait`` itself counts whole milliseconds."""

    def __init__(self, epoll: Any) -> None:
        self._epoll, self._fd = epoll, epoll.fileno()
        self._select = pause()
        self.register, self.modify = epoll.register, epoll.modify
        self.unregister, self.close = epoll.unregister, epoll.close

    def poll(self, seconds: float) -> list[tuple[int, int]]:
        if 0 < seconds < 0.01 and self._fd < _DESCRIPTORS_OF_SELECT:
            self._select([self._fd], (), (), seconds)
            seconds = 0.0
        found: list[tuple[int, int]] = self._epoll.poll(seconds, MOST_EVENTS)
        return found


class _Poll:
    """poll, where there is no epoll; its cost grows with the number of descriptors."""

    def __init__(self, poll: Any) -> None:
        self._poll = poll
        self.register, self.modify, self.unregister = poll.register, poll.modify, poll.unregister

    def poll(self, seconds: float) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = self._poll.poll(seconds * 1000)
        return found

    def close(self) -> None:
        """It has no descriptor."""


class Bell:
    """Wakes whoever waits on it, from any thread: a descriptor that becomes readable.

    Look for what the ring was about after `hush`, not before.

    Waiting goes through ``select.poll`` as the process has it: it blocks a plain thread, and
    under gevent only the greenlet. Ring it as often as you like, also after it was closed.
    """

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            self.fd = self._bellpull = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self.fd, self._bellpull = os.pipe()
            os.set_blocking(self.fd, False)
            os.set_blocking(self._bellpull, False)
        self._lock = lock()
        self._closed = self._rung = False

    def ring(self) -> None:
        """Wake the waiter."""
        with self._lock:
            if not (self._closed or self._rung):
                self._rung = True  # a ring that nobody has heard yet is enough
                with suppress(BlockingIOError):  # full of rings not heard yet: one is enough
                    os.write(self._bellpull, _RING)

    def hush(self) -> None:
        """Forget the rings so far."""
        with suppress(BlockingIOError):
            os.read(self.fd, 65_536)
        self._rung = False  # after the read: who rang in between is seen by whoever hushes

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for a ring; False if none came in time."""
        waiter = select.poll()
        waiter.register(self.fd, select.POLLIN)
        return bool(waiter.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000))

    def close(self) -> None:
        """Free the descriptors."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self.fd)
                if self._bellpull != self.fd:
                    os.close(self._bellpull)
