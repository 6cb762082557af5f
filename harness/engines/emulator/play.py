"""Answers being sent: each frame at its due time, all of them driven by one timer."""

from __future__ import annotations

import heapq
from array import array
from time import monotonic_ns
from typing import TYPE_CHECKING, Protocol

from harness.engines.emulator import http
from harness.engines.emulator.packed import Packed

if TYPE_CHECKING:
    import asyncio

    from harness.engines.emulator.answer import Answer
    from harness.engines.emulator.pacing import Pacing


class Sink(Protocol):
    """Where an answer goes: one connection."""

    @property
    def blocked(self) -> bool:
        """The kernel takes no more for now; the sink says when it does again."""
        ...

    def write(self, data: bytes, number: int = ...) -> None:
        """Send, and write to the ledger what was sent; ``number`` in `Play.chunks`."""
        ...

    def finish(self) -> None:
        """The answer is over."""
        ...


class Metronome:
    """Calls `Play.step` at due times. One heap and one timer for all: no task, no handle each."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: list[tuple[int, int, Play]] = []
        self._entered = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0

    def at(self, due_ns: int, play: Play) -> None:
        """Step ``play`` at ``due_ns``, at once if that has passed."""
        self._entered += 1
        heapq.heappush(self._due, (due_ns, self._entered, play))
        self._arm()

    def _arm(self) -> None:
        first = self._due[0][0]
        if self._timer is not None:
            if self._timer_ns <= first:
                return
            self._timer.cancel()
        self._timer_ns = first
        self._timer = self._loop.call_at(first / 1e9, self._tick)

    def _tick(self) -> None:
        self._timer = None
        due = self._due
        while due and due[0][0] <= monotonic_ns():
            _, entered, play = heapq.heappop(due)
            again = play.step()
            if again is not None:
                heapq.heappush(due, (again, entered, play))
        if due:
            self._arm()


class Play:
    """One answer on its way. Its bytes are ready before the first of them is due."""

    __slots__ = (
        "_held_ns",
        "_holds",
        "_index",
        "_pacing",
        "_sink",
        "_started_ns",
        "_tokens",
        "cancelled",
        "chunks",
        "stalled",
        "timed",
    )

    def __init__(self, answer: Answer, head: bytes, sink: Sink, *, chunked: bool) -> None:
        self._sink = sink
        self._tokens = array("i", [frame.token for frame in answer.frames])
        self._holds = {k: frame.hold_ns for k, frame in enumerate(answer.frames) if frame.hold_ns}
        self.chunks = Packed(
            answer.frames,
            chunked=chunked,
            head=b"" if answer.early_head else head,
            last=http.LAST_CHUNK if chunked and answer.ending == "whole" else b"",
        )
        """What is written, one after the other."""
        self._index = 0
        self._held_ns = 0
        self._started_ns = 0
        self._pacing: Pacing | None = None
        self.cancelled = False
        self.stalled = False
        """Waits for the sink, not for the clock."""
        self.timed = False
        """Waits for the clock: somebody was told when to call `step`."""

    def begin(self, pacing: Pacing) -> int | None:
        """Start the clock of this answer; return when its first frame is due."""
        self._pacing = pacing
        self._started_ns = monotonic_ns()
        return self._next_ns()

    def _next_ns(self) -> int | None:
        """When the frame at ``_index`` is due, a hold that begins with it included."""
        if self._holds:
            self._held_ns += self._holds.get(self._index, 0)
        return self._due_ns()

    def _due_ns(self) -> int | None:
        """None: nobody knows yet. What follows the last frame is due at once."""
        if self._index >= len(self._tokens) or self._pacing is None:
            return 0
        due = self._pacing.due_ns(self._started_ns, self._tokens[self._index])
        return None if due is None else due + self._held_ns

    def resume(self) -> int | None:
        """Its pacing knows more than before: send what is due by now, and return as `step` does."""
        if self.timed or self.cancelled:
            return None
        due = self._due_ns()
        if due is None:
            return None
        if due > monotonic_ns():
            self.timed = True
            return due
        return self.step()

    def step(self) -> int | None:
        """Send what is due; return when to be called again, None if never or not by the clock."""
        sink, chunks = self._sink, self.chunks
        self.stalled = self.timed = False
        while not self.cancelled:
            if sink.blocked:
                self.stalled = True
                return None
            if self._index == len(chunks):
                sink.finish()
                return None
            number = self._index
            self._index = number + 1
            sink.write(chunks[number], number)
            due = self._next_ns()
            if due is None:
                return None
            if due > monotonic_ns():
                self.timed = True
                return due
        return None
