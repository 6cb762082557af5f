"""The child that judges recordings, as the greenlets see it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from gevent.socket import wait_write

import harness
from harness.load.journal import batches, parsing
from harness.wire.engine import Lags

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.load.journal.batches import Read
    from harness.wire.engine import Recorded

_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of Linux
_PIPE_BYTES = 1 << 20
_MOST_WAITING = 2048
_EVERY_S = 0.1
"""How often what is packed goes out."""
_PARTS = 1000
"""Of frames in one write: of 1,024 the kernel takes at most (``IOV_MAX``)."""
_LOOK_S = 0.1
STALLED_S = 60.0
"""How long it may take to judge one more answer: it is nicer than everything else, not dead."""
_DRAINED_S = 5.0
GIVEN_UP = "given up by Ctrl-C"
"""Why the rest is lost where somebody did not want to wait for it."""


def environment() -> dict[str, str]:
    """The environment of a child that must find this very package."""
    places = [str(Path(harness.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}


class Clerk:
    """Takes recordings and calls ``on_batch`` with what comes of them, from its own greenlet.

    ``pack`` makes the parts of a frame of a recording and what was taken with it
    (`harness.load.journal.parsing.pack`), in the thread that hands it over, which is the engine's:
    it has just handled it, and for another thread's computing it would wait after each of its
    reads, for longer than packing takes. Frames go out many at a time, and so rows come back, in
    the same order.

    The child runs in a session of its own: Ctrl-C is not for it, it ends when
    its input does.
    """

    def __init__(
        self, pack: Callable[..., Sequence[bytes]], on_batch: Callable[[Read], None]
    ) -> None:
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
        os.set_blocking(self._in.fileno(), False)
        with suppress(OSError):
            fcntl.fcntl(self._in.fileno(), _SET_PIPE_SIZE, _PIPE_BYTES)
        self.handed = self.judged = 0
        self.receive_lag = Lags()
        """How long reads lay in the kernel; known once it is closed."""
        self.trouble: str | None = None
        """Why it will not judge everything, as soon as that is known."""
        self._waiting: deque[Sequence[bytes]] = deque()
        self._over = self._given_up = False
        self._writer = gevent.spawn(self._write)
        self._reader = gevent.spawn(self._read)

    def take(self, recorded: Recorded, *facts: Any) -> None:
        """Hand a recording over, with what ``pack`` wants to know of it; from any thread."""
        self._waiting.append(self._pack(recorded, *facts))

    @property
    def full(self) -> bool:
        """Whether so many wait that no more should be asked: that is how memory stays bounded."""
        return len(self._waiting) >= _MOST_WAITING

    @property
    def taken(self) -> int:
        """How many it was handed over, judged or not."""
        return self.handed + len(self._waiting)

    def give_up(self) -> None:
        """Wait no longer for what is not judged."""
        self._given_up = True

    def close(self, watch: Callable[[int, int], None] | None = None) -> str | None:
        """Wait until everything is judged; why the rest is lost, if there is a rest.

        That takes as long as it takes: the wait ends where nothing was judged for `STALLED_S`, or
        with `give_up`. ``watch`` is told meanwhile how many are judged, of how many.
        """
        self._over = True
        judged, since_s, stalled = -1, 0.0, False
        while not (self._reader.ready() or self._given_up or stalled):
            now_s = time.monotonic()
            if judged != self.judged:
                judged, since_s = self.judged, now_s
            stalled = now_s - since_s > STALLED_S
            if watch is not None:
                watch(judged, self.taken)
            self._reader.join(_LOOK_S)
        ended = self._reader.ready()
        if not ended:
            self._child.kill()
            self._reader.join(_DRAINED_S)  # what had left the child is still to be read
        gevent.killall([self._writer, self._reader])
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        left = self.taken - self.judged
        if ended and not left:
            return None
        why = f"the process that does it made no progress for {STALLED_S:g} s"
        if ended:
            why = self.trouble or self._ended()
        elif self._given_up:
            why = GIVEN_UP
        return f"{left} of {self.taken} answers were not judged: {why}"

    def _write(self) -> None:
        while not self._over or self._waiting:
            with suppress(OSError):  # it has died: `close` finds that rows are missing
                self._send()
            if not self._over:
                gevent.sleep(_EVERY_S)
        with suppress(OSError):
            self._in.close()

    def _send(self) -> None:
        """Write all that waits, letting other greenlets run as long as the pipe is full."""
        while self._waiting:
            parts: list[bytes | memoryview] = []
            while self._waiting and len(parts) < _PARTS:
                parts += self._waiting.popleft()
                self.handed += 1
            while parts:
                try:
                    sent = os.writev(self._in.fileno(), parts)
                except BlockingIOError:
                    wait_write(self._in.fileno())
                    continue
                gone = 0
                while gone < len(parts) and sent >= len(parts[gone]):
                    sent -= len(parts[gone])
                    gone += 1
                del parts[:gone]
                if sent:
                    parts[0] = memoryview(parts[0])[sent:]

    def _read(self) -> None:
        for batch in batches.read(self._out):
            self.judged += len(batch.rows)
            self.receive_lag = batch.receive_lag or self.receive_lag
            self.trouble = batch.trouble or self.trouble
            if batch.rows:
                self._on_batch(batch)
        if not self._over and self.trouble is None:
            self.trouble = self._ended()

    def _ended(self) -> str:
        return f"the process that does it ended with code {self._child.wait()}"
