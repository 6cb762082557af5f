"""The child that judges recordings, as the greenlets see it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gevent
from gevent.queue import Queue

import harness
from harness.load.journal import parsing
from harness.load.locusts.orders import lags_of
from harness.wire.engine import Lags

if TYPE_CHECKING:
    from collections.abc import Callable

_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of Linux
_PIPE_BYTES = 1 << 20
_WAITING_FRAMES = 1024
_BATCH_S = 0.05


def environment() -> dict[str, str]:
    """The environment of a child that must find this very package."""
    places = [str(Path(harness.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}


class Judged(NamedTuple):
    """A row that came back: as it is written down, as it reads, and how long the answer was."""

    line: bytes
    said: dict[str, Any]
    size: int


class Clerk:
    """Takes frames and calls ``on_rows`` with what comes of them, in order, from its own greenlet.

    Frames go out and rows come back many at a time: each crossing costs the engine's thread a
    moment. The child runs in a session of its own: Ctrl-C is not for it, it ends when its input
    does.
    """

    def __init__(self, on_rows: Callable[[list[Judged]], None]) -> None:
        self._on_rows = on_rows
        self._child = subprocess.Popen(
            parsing.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment(),
            start_new_session=True,
        )
        if self._child.stdin is None or self._child.stdout is None:
            raise RuntimeError("the pipes that were asked for are missing")
        self._in, self._out = self._child.stdin, self._child.stdout
        with suppress(OSError):
            fcntl.fcntl(self._in.fileno(), _SET_PIPE_SIZE, _PIPE_BYTES)
        self.handed = self.judged = 0
        self.receive_lag = Lags()
        """How long reads lay in the kernel; known once it is closed."""
        self._frames: Any = Queue(_WAITING_FRAMES)
        self._over = False
        self._writer = gevent.spawn(self._write)
        self._reader = gevent.spawn(self._read)

    def take(self, frame: bytes) -> None:
        """Hand a frame over; waits while too many wait: that is how memory stays bounded."""
        self.handed += 1
        self._frames.put(frame)

    def close(self, timeout_s: float) -> bool:
        """Wait until everything is judged; False if that took longer, and the rest is lost."""
        self._over = True
        self._frames.put(b"")
        gevent.joinall([self._writer, self._reader], timeout=timeout_s)
        done = self._reader.ready() and self.handed == self.judged
        gevent.killall([self._writer, self._reader])
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        return done

    def _write(self) -> None:
        last = False
        while not last:
            frames = [self._frames.get()]
            while not self._frames.empty():
                frames.append(self._frames.get())
            last = self._over and not frames[-1]
            with suppress(OSError):  # it has died: `close` finds that frames are missing
                rest = memoryview(b"".join(frames))
                while rest:
                    rest = rest[self._in.write(rest) or 0 :]
            if not last:
                gevent.sleep(_BATCH_S)
        with suppress(OSError):
            self._in.close()

    def _read(self) -> None:
        torn = b""
        while block := self._out.read(_PIPE_BYTES):
            *lines, torn = (torn + block).split(b"\n")
            rows = []
            for line in lines:
                size, _, row = line.partition(b" ")
                if size.isdigit():
                    rows.append(Judged(row, json.loads(row.decode()), int(size)))
                else:
                    self.receive_lag = lags_of(json.loads(line)["receive_lag"])
            self.judged += len(rows)
            if rows:
                self._on_rows(rows)
