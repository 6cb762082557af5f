"""When tokens leave: how fast one answer is generated, and whose turn it is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.engines.spec import Settings

NS_PER_MS = 1_000_000


class Pacing(Protocol):
    """Decides when token ``token`` of an answer that began at ``started_ns`` is due.

    Asked once for each frame, when the frame before it has left: a model of batching or of a
    full cache may answer from the load of that moment.
    """

    def due_ns(self, started_ns: int, token: int) -> int:
        """The due time on the monotonic clock."""
        ...


@dataclass(frozen=True, slots=True)
class FixedPacing:
    """The same time to first token and between tokens, whatever the load.

    Due times are absolute, ``started + ttft + token * itl``: a late token does not delay the next.
    """

    ttft_ns: int
    itl_ns: int

    @classmethod
    def of(cls, settings: Settings) -> FixedPacing:
        """The pacing that ``settings`` ask for."""
        return cls(int(settings.ttft_ms * NS_PER_MS), int(settings.itl_ms * NS_PER_MS))

    def due_ns(self, started_ns: int, token: int) -> int:
        """See `Pacing`."""
        return started_ns + self.ttft_ns + token * self.itl_ns


class Turns:
    """Who generates now and who waits, in order of arrival."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.running = 0
        self._queue: deque[Callable[[], None]] = deque()

    @property
    def waiting(self) -> int:
        """Answers whose turn has not come."""
        return len(self._queue)

    def enter(self, begin: Callable[[], None]) -> None:
        """Call ``begin`` when there is a place, at once if there is one now."""
        self._queue.append(begin)
        self.admit()

    def admit(self) -> None:
        """Begin as many as there is place for; also after ``limit`` was changed."""
        while self._queue and (self.limit is None or self.running < self.limit):
            self.running += 1
            self._queue.popleft()()

    def leave(self, begin: Callable[[], None]) -> None:
        """Give back the place, or the place in the queue, that ``begin`` was entered for."""
        if begin in self._queue:
            self._queue.remove(begin)
            return
        self.running -= 1
        self.admit()
