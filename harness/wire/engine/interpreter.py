"""The interpreter kept quiet while an engine runs.

Two things of CPython stop every thread of a process, the one that stamps included. A full
collection of garbage looks at all objects there are: 350 ms with half a million of them, as one
parsed recording leaves behind, and a time to first token of 100 ms is then read as 500 at the
99th percentile. And a thread that computes gives the interpreter up only when asked for 5 ms
(``sys.setswitchinterval``), which the engine has to do after each of its reads.
"""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.wire.engine.natives import lock

if TYPE_CHECKING:
    from collections.abc import Iterator

YOUNG = 5_000
"""New objects after which garbage among them is collected: a pause of about a millisecond."""
_NEVER = 1_000_000
SWITCH_S = 20e-6
"""How long a thread that wants the interpreter waits before it asks for it."""

_guard = lock()
_loads = 0
_kept: tuple[tuple[int, int, int], float] = ((0, 0, 0), 0.0)


@contextmanager
def quiet() -> Iterator[None]:
    """Collect garbage of new objects only, and switch threads at once, within the block.

    Garbage that is in cycles and outlived a collection stays until the block is over. It holds
    for the whole process; blocks may nest and overlap, and what was set before is restored after
    the last of them.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _loads, _kept  # noqa: PLW0603 - it is a setting of the process
    with _guard:
        if _loads == 0:
            _kept = gc.get_threshold(), sys.getswitchinterval()
            # A process that switched collection off keeps it off: a threshold does not enable it.
            gc.set_threshold(YOUNG, _NEVER, _NEVER)
            sys.setswitchinterval(min(SWITCH_S, _kept[1]))
        _loads += 1


def _leave() -> None:
    global _loads  # noqa: PLW0603 - see above
    with _guard:
        _loads -= 1
        if _loads == 0:
            gc.set_threshold(*_kept[0])
            sys.setswitchinterval(_kept[1])
