"""How far the judging of answers is, said while somebody waits for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_S = 3.0


class Progress:
    """Says a line every few seconds, from the second look on; ``clock`` tells seconds."""

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._clock = say, clock
        self._last: tuple[float, int] | None = None

    def __call__(self, judged: int, of: int) -> None:
        """Look: ``judged`` answers are, ``of`` all there will be."""
        now_s = self._clock()
        if self._last is None:
            self._last = now_s, judged
        last_s, before = self._last
        if judged >= of or now_s - last_s < EVERY_S:
            return
        self._last = now_s, judged
        rate = (judged - before) / (now_s - last_s)
        how_fast = f"none in the last {now_s - last_s:.0f} s"
        if rate > 0:
            how_fast = f"{rate:,.0f} a second, {(of - judged) / rate:,.0f} s left"
        self._say(
            f"judging: {judged:,} of {of:,} answers, {how_fast}; Ctrl-C keeps those that are judged"
        )
