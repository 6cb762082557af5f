"""The child that judges recordings, as the greenlets see it."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent

import harness
from harness.load.journal import batches, parsing
from harness.wire.engine import Lags

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.journal.batches import Read
    from harness.wire.engine import Recorded

_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of Linux
_PIPE_BYTES = 1 << 20
_MOST_WAITING = 2048
_BATCH_S = 0.1


def environment() -> dict[str, str]:
    """The environment of a child that must find this very package."""
    places = [str(Path(harness.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}


class Clerk:
    """Takes recordings and calls ``on_batch`` with what comes of them, from its own greenlet.

    They are packed and go out many at a time, and so rows come back, in the same order: each
    crossing costs the engine's thread a moment. ``pack`` makes the parts of a frame of a recording
    and what was taken with it (`harness.load.journal.parsing.pack`).

    The child runs in a session of its own: Ctrl-C is not for it, it ends when
    its input does.
    """

    def __init__(self, pack: Callable[..., list[bytes]], on_batch: Callable[[Read], None]) -> None:
        self._pack, self._on_batch = pack, on_batch
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
        self._waiting: deque[tuple[Recorded, tuple[Any, ...]]] = deque()
        self._over = False
        self._writer = gevent.spawn(self._write)
        self._reader = gevent.spawn(self._read)

    def take(self, recorded: Recorded, *facts: Any) -> None:
        """Hand a recording over, with what ``pack`` wants to know of it; from any thread."""
        self._waiting.append((recorded, facts))

    @property
    def full(self) -> bool:
        """Whether so many wait that no more should be asked: that is how memory stays bounded."""
        return len(self._waiting) >= _MOST_WAITING

    def close(self, timeout_s: float) -> bool:
        """Wait until everything is judged; False if that took longer, and the rest is lost."""
        self._over = True
        gevent.joinall([self._writer, self._reader], timeout=timeout_s)
        done = self._reader.ready() and self.handed == self.judged
        gevent.killall([self._writer, self._reader])
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        return done

    def _write(self) -> None:
        while not self._over or self._waiting:
            if not self._waiting:
                gevent.sleep(_BATCH_S)
                continue
            parts: list[bytes] = []
            for _ in range(len(self._waiting)):
                recorded, facts = self._waiting.popleft()
                parts += self._pack(recorded, *facts)
                self.handed += 1
            frames = b"".join(parts)
            del parts, recorded
            with suppress(OSError):  # it has died: `close` finds that rows are missing
                rest = memoryview(frames)
                while rest:
                    rest = rest[self._in.write(rest) or 0 :]
            if not self._over:
                gevent.sleep(_BATCH_S)
        with suppress(OSError):
            self._in.close()

    def _read(self) -> None:
        for batch in batches.read(self._out):
            self.judged += len(batch.rows)
            self.receive_lag = batch.receive_lag or self.receive_lag
            if batch.rows:
                self._on_batch(batch)
