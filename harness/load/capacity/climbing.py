"""A staircase of users with requests of exact lengths, up to the capacity and past it.

Unlike a race it counts everything a user waits for: the prompts too, and the queue once the cache
is full. What it leaves is the journal of a load like any other, with the engine's own samples.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import harness
from harness.load.capacity.filling import watch_of
from harness.load.driving import Call, Drive, closed
from harness.load.journal.journal import Facts, Writer, row_of
from harness.load.overview.overview import overview
from harness.load.sampling.sampling import Sampler
from harness.load.trust import Limits, signs
from harness.load.workload.prompts import completion

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.load.capacity.filling import Place
    from harness.load.overview.overview import Overview
    from harness.wire.engine import LoadEngine

_BEAT_S = 0.2
_NS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """What the staircase says of the level that was claimed."""

    ratio: float | None
    """Tokens a second at that level by those at the lowest; None where there is no such level."""
    interval: tuple[float, float] | None
    seconds: float
    requests: int
    whole: int
    folder: Path
    overview: Overview
    doubt: str = ""
    """Why it is not to be believed, if it is not."""


def climb(
    engine: LoadEngine,
    place: Place,
    *,
    levels: Sequence[int],
    claimed: int,
    prompt: int,
    answer: int,
    seconds: float,
    kind: str,
    seed: int = 1,
    stop: threading.Event | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Climb:
    """Play ``levels`` of users, each for ``seconds``, and write it down in the place's folder.

    Raises:
        JournalError, SamplingError: it cannot be written. WireError: nor sent.
    """
    folder = place.folder / f"staircase-{prompt}+{answer}-{seed}"
    facts = Facts(
        profile="staircase",
        seed=seed,
        host=place.url,
        engine=kind,
        begun_unix_ns=time.time_ns(),
        versions={"harness": harness.__version__},
    )

    def make(number: int) -> Call:
        ids = place.ids.draw(prompt, f"{seed}/climb/{number}")
        return Call(completion(place.url, place.model, ids, answer, headers=place.headers))

    number, whole, drives = 0, 0, list[Drive]()
    with (
        Writer(folder, facts=facts) as writer,
        Sampler(folder, [watch_of(place)], every_s=_BEAT_S, within_s=2.0),
    ):
        for level in levels:
            say(f"{level} users for {seconds:g} s")
            drive = closed(
                engine,
                make,
                users=level,
                seconds=seconds,
                stagger_s=min(seconds / 4, _answer_s(drives[-1]) if drives else 0.0),
                seed=seed,
                first=number,
                stop=stop,
            )
            for each in drive.recorded:
                row = row_of(each, number=number, name=place.model, load=level)
                writer.add(row)
                whole += row.met.whole
                number += 1
            drives.append(drive)
    found = overview(folder)
    step = next((each for each in found.staircase.steps if each.load == claimed), None)
    faster = None if step is None else found.staircase.speedup(step)
    doubt = "; ".join(dict.fromkeys(why for drive in drives if (why := doubtful(drive))))
    if faster is not None and faster[1] is None:
        doubt = doubt or "a level was too short for its throughput to have an interval"
    if whole < number:
        doubt = f"{number - whole} of {number} answers were not whole"
    return Climb(
        ratio=None if faster is None else faster[0],
        interval=None if faster is None else faster[1],
        seconds=sum(drive.seconds for drive in drives),
        requests=number,
        whole=whole,
        folder=folder,
        overview=found,
        doubt=doubt or found.staircase.why,
    )


def _answer_s(drive: Drive) -> float:
    """How long an answer took, in the middle.

    Within the time of one answer the users of the next level begin: they do not run in step then,
    and all of them are under way by the time the level counts as settled (`Step`), for answers do
    not become faster with more users.
    """
    took = [(one.ended_ns - one.due_ns) / _NS for one in drive.recorded]
    return median(took) if took else 0.0


def doubtful(drive: Drive) -> str:
    """Why the client of ``drive`` was too busy for a throughput to be believed; else empty."""
    limits = Limits()
    own = signs(drive.before, drive.after, seconds=drive.seconds)
    late = own.dispatch_lag.quantile_ns(0.99)
    if late is not None and late > limits.dispatch_ms * 1e6:
        return f"the client sent {late / 1e6:.0f} ms late: it was saturated"
    if own.cpu_share is not None and own.cpu_share > limits.cpu:
        return f"the client used {own.cpu_share:.0%} of its core: it was saturated"
    return ""
