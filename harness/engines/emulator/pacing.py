"""When tokens leave: how fast one answer is generated, and whose turn it is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING, Protocol

from harness.engines.scheduler.counters import Gauges

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.engines.emulator.books import Books
    from harness.engines.spec import Settings

NS_PER_MS = 1_000_000


class Pacing(Protocol):
    """Decides when token ``token`` of an answer that began at ``started_ns`` is due.

    Asked when the frame before it has left.
    """

    def due_ns(self, started_ns: int, token: int) -> int | None:
        """The due time on the monotonic clock; None: `Play.resume` is called when it is known."""
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
        self.books: Books | None = None
        """What is counted about answers, if anybody counts."""
        self.ready_ns = 0
        """Monotonic time from which the server says that it is ready."""
        self.sleep_level: int | None = None
        """Asleep, and how deeply (vLLM); see `sleep`."""
        self._running = 0
        self._queue: deque[Callable[[], None]] = deque()

    @property
    def loading(self) -> bool:
        """The server has just been started and is not ready yet."""
        return monotonic_ns() < self.ready_ns

    @property
    def running(self) -> int:
        """Answers that are generated."""
        return self._running

    @property
    def waiting(self) -> int:
        """Answers whose turn has not come."""
        return len(self._queue)

    @property
    def gauges(self) -> Gauges:
        """What the server's own gauges show: here the moment, as there are no steps."""
        return Gauges(running=self.running, waiting=self.waiting)

    def sleep(self, level: int) -> None:
        """Begin no answer until `wake`; those that are under way are finished."""
        self.sleep_level = level

    def wake(self) -> None:
        """Go on with who waits."""
        self.sleep_level = None
        self.admit()

    def enter(self, begin: Callable[[], None]) -> None:
        """Call ``begin`` when there is a place, at once if there is one now."""
        self._queue.append(begin)
        self.admit()

    def admit(self) -> None:
        """Begin as many as there is place for; also after ``limit`` was changed."""
        while (
            self._queue
            and self.sleep_level is None
            and (self.limit is None or self._running < self.limit)
        ):
            self._running += 1
            self._queue.popleft()()

    def leave(self, begin: Callable[[], None]) -> None:
        """Give back the place, or the place in the queue, that ``begin`` was entered for."""
        if begin in self._queue:
            self._queue.remove(begin)
            return
        self._running -= 1
        self.admit()
