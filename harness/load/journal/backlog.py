"""Frames that wait to be judged: some in memory, the rest in a file without a name."""

from __future__ import annotations

import os
import queue
import struct
import tempfile
import threading

_SIZE = struct.Struct("!I")
KEPT_BYTES = 64 << 20
"""How much of what waits is kept in memory unless told otherwise."""


class BacklogError(Exception):
    """Frames cannot be kept; the text says where, why and what to do."""


class Backlog:
    """Frames in order, put by one thread and got by another.

    What is above ``kept_bytes`` waits in the folder for temporary files (``TMPDIR``).
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._limit = kept_bytes
        self.kept_bytes = 0
        """What of them is in memory."""
        self._changed = threading.Condition()
        self._memory: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._fd: int | None = None
        self._read_at = self._written_to = 0
        self._over = False

    def put(self, frame: bytes) -> None:
        """Add one at the end.

        Raises:
            BacklogError: there is no room for it. Those before it are still there.
        """
        with self._changed:
            spilling = self._read_at < self._written_to
            if spilling or self.kept_bytes + len(frame) > self._limit:
                self._spill(frame)
            else:
                self.kept_bytes += len(frame)
                self._memory.put(frame)
            self._changed.notify()

    def end(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._over = True
            self._changed.notify()

    def get(self) -> bytes | None:
        """Take the first, waiting for it; None when nothing more will come."""
        with self._changed:
            while self.empty:
                if self._over:
                    return None
                self._changed.wait()
            if not self._memory.empty():
                frame = self._memory.get()
                self.kept_bytes -= len(frame)
                return frame
            return self._unspill()

    def awaited(self, timeout_s: float) -> bool:
        """Wait until a frame is there; False if none came in time, or none will."""
        with self._changed:
            if self.empty and not self._over:
                self._changed.wait(timeout_s)
            return not self.empty

    @property
    def empty(self) -> bool:
        """Whether nothing waits now."""
        return self._memory.empty() and self._read_at == self._written_to

    def _spill(self, frame: bytes) -> None:
        try:
            if self._fd is None:
                with tempfile.TemporaryFile() as file:
                    self._fd = os.dup(file.fileno())  # closed with the process
            rest, at = memoryview(_SIZE.pack(len(frame)) + frame), self._written_to
            while rest:
                written = os.pwrite(self._fd, rest, at)
                rest, at = rest[written:], at + written
        except OSError as error:
            folder = tempfile.tempdir or "a folder for temporary files"  # None: none is usable
            raise BacklogError(
                f"those that wait cannot be kept in {folder}: {error.strerror or error}. "
                "Free space there, or name another folder in TMPDIR."
            ) from error
        self._written_to = at

    def _unspill(self) -> bytes:
        size = _SIZE.unpack(self._stored(self._read_at, _SIZE.size))[0]
        frame = self._stored(self._read_at + _SIZE.size, size)
        self._read_at += _SIZE.size + size
        if self._read_at == self._written_to and self._fd is not None:
            os.ftruncate(self._fd, 0)
            self._read_at = self._written_to = 0
        return frame

    def _stored(self, at: int, size: int) -> bytes:
        if self._fd is None:
            raise RuntimeError("frames are said to wait in a file that is not there")
        found = os.pread(self._fd, size, at)
        while len(found) < size:
            more = os.pread(self._fd, size - len(found), at + len(found))
            if not more:
                raise RuntimeError("the file of frames that wait is shorter than what it got")
            found += more
        return found
