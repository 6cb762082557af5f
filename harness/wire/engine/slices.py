"""A short slice of the processor for one thread: its waking does not wait for who computes.

Linux shares a processor out in slices. Who wakes beside a process that computes waits until the
slice of that one is over, some milliseconds, unless its own is shorter: the earlier deadline of
the two runs first (EEVDF, ``kernel/sched/fair.c``; since Linux 6.12 ``sched_setattr`` takes the
length of the slice, from 0.1 ms, for ordinary threads too). It asks for no more processor, only for
smaller pieces of it, and so needs no privilege.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

SLICE_NS = 100_000
"""The shortest there is, in nanoseconds."""
_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
"""Number of the system call by machine; ``sched_getattr`` is the next."""
_ORDINARY = (0, 3)
"""SCHED_OTHER and SCHED_BATCH, which have slices."""


@contextmanager
def short() -> Iterator[int | None]:
    """Have slices of `SLICE_NS` in the calling thread within the block.

    Yields what they are, in nanoseconds; None where that cannot be asked for. Threads that this
    thread starts meanwhile inherit it.
    """
    known = _Attributes.of_this_thread()
    if known is None:
        yield None
        return
    before_ns = known.runtime
    got = known.wish(SLICE_NS)
    try:
        yield got
    finally:
        known.wish(before_ns)


class _Attributes(ctypes.Structure):
    """``struct sched_attr`` (linux/sched/types.h), as of its first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )

    @classmethod
    def of_this_thread(cls) -> Self | None:
        """Those of the calling thread, where they have a slice."""
        if sys.platform != "linux" or platform.machine() not in _SETATTR:
            return None
        found = cls()
        return found if found._look() and found.policy in _ORDINARY and found.runtime else None

    def wish(self, slice_ns: int) -> int | None:
        """Ask for slices of ``slice_ns``; returns what they are then."""
        self.size, self.runtime = ctypes.sizeof(self), slice_ns
        done = _libc().syscall(_SETATTR[platform.machine()], 0, ctypes.byref(self), 0) == 0
        return self.runtime if done and self._look() else None

    def _look(self) -> bool:
        call, size = _SETATTR[platform.machine()] + 1, ctypes.sizeof(self)
        return bool(_libc().syscall(call, 0, ctypes.byref(self), size, 0) == 0)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
