"""How much faster many streams decode together than one alone, on one engine.

Throughput is the tokens that arrive while every stream of a run decodes, by the time that took:
neither the prompts' share nor the ragged end is in it. Runs of one stream and of many take turns
(ABBA), so that what drifts on the machine meets both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import answer as answers
from harness.load.driving import Call, closed
from harness.load.trust import Trust, receive_lags
from harness.load.workload.prompts import completion
from harness.statistics import compare, order

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from harness.load.capacity.filling import Place
    from harness.load.driving import Drive
    from harness.wire.engine import LoadEngine

_CONFIDENCE = 0.95
_NS = 1e9


class RaceError(RuntimeError):
    """A run that gave no throughput; the text says which and why."""

    id = "load.race"


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Throughput(``users``) / throughput(1), with its interval."""

    users: int
    ratio: float
    interval: tuple[float, float] | None
    alone: float
    """Tokens a second of one stream, at the median run."""
    together: float
    """And of all of them."""
    runs: int
    doubt: str = ""
    """Why the client is not to be believed, if it is not."""

    def __str__(self) -> str:
        return f"{self.alone:,.0f} tokens/s alone, {self.together:,.0f} with {self.users} at a time"


def race(
    engine: LoadEngine,
    place: Place,
    *,
    users: int,
    prompt: int,
    answer: int,
    blocks: int = 4,
    seed: int = 1,
    stop: threading.Event | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Race:
    """Measure it in ``blocks`` ABBA blocks; at least 3 give an interval.

    All streams of all runs share one prompt: the prefix cache then has it, and decoding is what
    is timed, each stream still attending to all of its ``prompt`` tokens.

    Raises:
        RaceError: an answer was not whole, or the streams never ran together.
    """
    ids = place.ids.draw(prompt, f"{seed}/race")
    request = completion(place.url, place.model, ids, answer, headers=place.headers)

    def run(streams: int) -> Drive:
        return closed(
            engine,
            lambda _: Call(request),
            users=streams,
            requests=streams,
            seed=seed,
            stop=stop,
        )

    alone = throughput(run(1))  # warms the prefix cache up; its figure is only for the rate
    with Trust(engine, streams=users, rate=max(1.0, alone), seed=seed) as trust:
        trust.before()
        drives: list[Drive] = []
        with trust.during():
            for number, who in enumerate(order(blocks)):
                streams = 1 if who == "A" else users
                drives.append(run(streams))
                say(f"run {number + 1} of {4 * blocks}: {streams} at a time")
        lags = receive_lags(one for drive in drives for one in drive.recorded)
        trusted = trust.judge(receive_lag=lags)
    figures = [throughput(drive) for drive in drives]  # not before: to parse makes the client late
    found = compare(figures, minimum_effect=0.05, confidence=_CONFIDENCE)
    interval = found.interval
    names = order(blocks)
    return Race(
        users=users,
        ratio=1 + found.effect,
        interval=None if interval is None else (1 + interval[0], 1 + interval[1]),
        alone=_middle([each for who, each in zip(names, figures, strict=True) if who == "A"]),
        together=_middle([each for who, each in zip(names, figures, strict=True) if who == "B"]),
        runs=len(figures),
        doubt=trusted.why[0] if trusted.why else "",
    )


def throughput(drive: Drive) -> float:
    """Tokens a second over the time in which every stream of ``drive`` was decoding.

    A server that is busy puts several tokens into a chunk (vLLM merges what a client has not
    fetched yet), most of all when many streams run: a chunk counts as many tokens as the usage
    of its answer says, shared evenly.

    Raises:
        RaceError: an answer is not whole, or some stream had ended before another began.
    """
    stamps: list[list[int]] = []
    a_chunk: list[float] = []
    for recorded in drive.recorded:
        read = answers.read(recorded.exchange)
        if not read.wholeness or len(read.deltas) < 2:
            raise RaceError(f"an answer cannot be timed: {read.wholeness.why}")
        stamps.append([delta.at_ns for delta in read.deltas])
        stated = (read.usage or {}).get("completion_tokens")
        tokens = stated if isinstance(stated, int) and stated > 0 else len(read.deltas)
        a_chunk.append(tokens / len(read.deltas))
    begun = max((each[0] for each in stamps), default=0)
    ended = min((each[-1] for each in stamps), default=0)
    if ended <= begun:
        raise RaceError(
            f"{len(stamps)} streams never ran together: the answers are too short for so many. "
            "Ask for longer ones."
        )
    came = sum(
        each * sum(begun < at <= ended for at in chunks)
        for each, chunks in zip(a_chunk, stamps, strict=True)
    )
    return came / (ended - begun) * _NS


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
