"""How many streams one process of the client carries here: found once, remembered for a while."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.process.venv import cache_root

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST, MOST = 16, 4096
KEPT_S = 3600.0
"""How long what was found is believed; a reboot, another Python or another machine ends it too."""
CLOSE = 1.25
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Safe:
    """The most streams that were measured right, and where it was found."""

    streams: int
    """0: not even the least number was right."""
    above: int | None
    """The least that was not; None if none was tried: then it is at least ``streams``."""
    rate: float
    """Tokens a second of each stream."""
    at_unix_s: float
    inputs: str
    """The machine, its boot and the Python it holds for."""

    @property
    def age_s(self) -> float:
        """How long ago it was found."""
        return max(0.0, time.time() - self.at_unix_s)

    def __str__(self) -> str:
        at_least = "at least " if self.above is None else ""
        return (
            f"{at_least}{self.streams} streams of {self.rate:g} tokens/s a process "
            f"(found {self.age_s:.0f} s ago on {self.inputs})"
        )


def search(
    right: Callable[[int], bool | None],
    *,
    rate: float,
    least: int = LEAST,
    most: int = MOST,
    close: float = CLOSE,
) -> Safe:
    """Find the most streams for which ``right`` holds: doubling, then bisection.

    It ends when the least that is not right is ``close`` times the most that is.

    A level that is not right is tried once more: noise must not decide it. Where ``right`` is
    None, which is that it cannot be told, the search ends with what is known.

    Raises:
        ValueError: ``least`` and ``most`` leave nothing to try.
    """
    if not 1 <= least <= most:
        raise ValueError(f"from {least} to {most} streams: nothing to try")

    def tried(level: int) -> bool | None:
        found = right(level)
        return right(level) if found is False else found

    good, bad, level = 0, None, least
    while good < most and (found := tried(level)) is not None:
        if not found:
            bad = level
            break
        good, level = level, min(2 * level, most)
    while bad is not None and good and bad > max(good + 1, good * close):
        middle = (good + bad) // 2
        found = tried(middle)
        if found is None:
            break
        good, bad = (middle, bad) if found else (good, middle)
    return Safe(streams=good, above=bad, rate=rate, at_unix_s=time.time(), inputs=here())


def here() -> str:
    """What a number of streams holds for: machine, processors, boot and Python."""
    try:
        boot = _BOOT_ID.read_text().strip()[:8]
    except OSError:
        boot = "unknown"
    return (
        f"{platform.node()} with {os.cpu_count()} CPUs, boot {boot}, "
        f"Python {platform.python_version()} {sys.platform}"
    )


def remembered(rate: float, *, folder: Path | None = None) -> Safe | None:
    """What was found here for this rate not long ago; None if nothing was."""
    try:
        found = Safe(**json.loads(_file(rate, folder).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.inputs == here() and found.age_s <= KEPT_S else None


def remember(safe: Safe, *, folder: Path | None = None) -> None:
    """Keep it for the next load. Where that is not possible nothing is kept."""
    file = _file(safe.rate, folder)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(asdict(safe)))
        part.replace(file)
    except OSError:
        return


def _file(rate: float, folder: Path | None) -> Path:
    return (folder or cache_root() / "load") / f"safe-streams-{rate:g}.json"
