"""From the engine's native thread back to the event loop of the greenlets."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import gevent

if TYPE_CHECKING:
    from collections.abc import Callable


class Mailbox:
    """Has calls made in the event loop, all of them through one watcher."""

    def __init__(self) -> None:
        self._posted: deque[tuple[Callable[[Any], object], object]] = deque()
        self._watcher: Any = gevent.get_hub().loop.async_()
        self._watcher.start(self._deliver)

    def post(self, then: Callable[[Any], object], what: object) -> None:
        """Have ``then(what)`` called in the event loop, soon; from any thread. It must not wait."""
        self._posted.append((then, what))
        self._watcher.send()  # the one method of gevent that another thread may call

    def close(self) -> None:
        """Free the watcher."""
        self._watcher.stop()
        self._watcher.close()

    def _deliver(self) -> None:
        while self._posted:
            then, what = self._posted.popleft()
            then(what)
