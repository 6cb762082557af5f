"""The capacity of a running engine, filled to the last request and one beyond.

Requests of exact token counts are sent at once. They fit if all of them run together: each has its
first token before any of them has ended, and the engine preempted nobody. With one more, somebody
must wait: for a place, or, where prompts are short and answers long, by being preempted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness import answer as answers
from harness.engines.metrics import Quantity
from harness.load.driving import Call, closed
from harness.load.sampling.sampling import Sampler, Watch, sampled
from harness.load.workload.prompts import completion

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.load.driving import Drive
    from harness.load.sampling.sampling import Sampled
    from harness.load.workload.prompts import Ids
    from harness.wire.engine import LoadEngine

_BEAT_S = 0.05
_NAME = "capacity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whom to ask: the base URL, the model, ids that are tokens of it, and where notes may lie."""

    url: str
    model: str
    ids: Ids
    folder: Path
    key: str | None = None
    metrics: str = "/metrics"

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of every request."""
        return {} if self.key is None else {"authorization": f"Bearer {self.key}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What ``requests`` requests of ``prompt`` and ``answer`` tokens met together."""

    requests: int
    prompt: int
    answer: int
    whole: int
    """How many were answered to the last token."""
    together: int
    """How many had a token before any had ended."""
    preemptions: int | None
    """By the engine's counter; None if it could not be read before and after."""
    most_running: int | None
    """By its gauge, as often as it was sampled."""
    waited: int | None
    """The most that waited once every request ran, by its gauge.

    What is asked counts when every request has its second token, for a gauge tells of the last
    step that is over, and only if it is answered before any request has ended.
    """
    fullest: float | None
    """The largest share of the cache in use."""
    seconds: float
    trouble: str = ""
    """Why it says nothing, if it does not."""

    @property
    def fits(self) -> bool:
        """Whether all of them ran together, with nobody waiting and nobody preempted."""
        return (
            not self.trouble
            and self.whole == self.together == self.requests
            and self.preemptions == 0
            and not self.waited
        )

    def __str__(self) -> str:
        parts = [f"{self.together} of {self.requests} ran together"]
        if self.preemptions is not None:
            parts.append(f"{self.preemptions} preemptions")
        if self.waited:
            parts.append(f"{self.waited} waiting while all were under way")
        if self.fullest is not None:
            parts.append(f"cache {self.fullest:.1%} full at most")
        return f"{self.prompt}+{self.answer} tokens: " + ", ".join(parts)


def fill(
    engine: LoadEngine,
    place: Place,
    *,
    requests: int,
    prompt: int,
    answer: int,
    seed: int = 1,
    stop: threading.Event | None = None,
) -> Filling:
    """Send ``requests`` at once and watch the engine until the last has ended.

    The engine's ``timeout_s`` must allow for the longest answer. Raises SamplingError where its
    metrics cannot be sampled.
    """

    def make(number: int) -> Call:
        ids = place.ids.draw(prompt, f"{seed}/{requests}x{prompt}+{answer}/{number}")
        request = completion(place.url, place.model, ids, answer, headers=place.headers)
        return Call(request, labels={"load": str(requests)})

    folder = place.folder / f"{requests}x{prompt}+{answer}-{seed}"
    with Sampler(folder, [watch_of(place)], every_s=_BEAT_S, within_s=5.0) as sampler:
        drive = closed(engine, make, users=requests, requests=requests, seed=seed, stop=stop)
    found = look(drive, sampled(folder), requests=requests, prompt=prompt, answer=answer)
    return replace(found, trouble=found.trouble or sampler.trouble)


def watch_of(place: Place) -> Watch:
    """The place's metrics page, to be sampled along a load."""
    return Watch(name=_NAME, url=place.url + place.metrics, key=place.key)


def look(
    drive: Drive, said: Sequence[Sampled], *, requests: int, prompt: int, answer: int
) -> Filling:
    """What a drive and the engine's samples along it say; a pure function."""
    firsts: list[int] = []
    seconds: list[int] = []
    ends: list[int] = []
    broken = ""
    for recorded in drive.recorded:
        read = answers.read(recorded.exchange)
        if read.deltas:
            firsts.append(read.deltas[0].at_ns)
            seconds += [delta.at_ns for delta in read.deltas[1:2]]
        ends.append(recorded.ended_ns)
        counted = (read.usage or {}).get("completion_tokens")
        asked = (read.usage or {}).get("prompt_tokens")
        if not read.wholeness:
            broken = broken or read.wholeness.why
        elif (asked, counted) != (prompt, answer):
            broken = broken or f"an answer has {asked}+{counted} tokens, not {prompt}+{answer}"
    whole = requests if not broken and len(ends) == requests else 0
    earliest = min(ends, default=0)
    together = sum(first < earliest for first in firsts)
    samples = [one for each in said for one in each.samples if one.said]
    to_monotonic_ns = drive.recorded[0].offsets_ns[1] if drive.recorded else 0
    settled = max(seconds, default=0)
    under_way = [
        one.said
        for one in samples
        if together == requests == len(seconds)
        and settled < one.asked_unix_ns + to_monotonic_ns
        and one.at_unix_ns + to_monotonic_ns < earliest
    ]
    preempted = [one.said.get(Quantity.PREEMPTIONS) for one in samples]
    counted_twice = len(preempted) > 1 and None not in (preempted[0], preempted[-1])
    trouble = broken or (
        "" if counted_twice else "the engine's counter of preemptions could not be read"
    )
    if not drive.complete:
        trouble = "it was stopped before its end"
    return Filling(
        requests=requests,
        prompt=prompt,
        answer=answer,
        whole=whole,
        together=together,
        preemptions=int((preempted[-1] or 0) - (preempted[0] or 0)) if counted_twice else None,
        most_running=_most([one.said for one in samples], Quantity.RUNNING),
        waited=_most(under_way, Quantity.WAITING),
        fullest=max((one.said.get(Quantity.KV, 0.0) for one in samples), default=None),
        seconds=drive.seconds,
        trouble=trouble,
    )


def _most(samples: Sequence[Mapping[Quantity, float]], quantity: Quantity) -> int | None:
    values = [said[quantity] for said in samples if quantity in said]
    return int(max(values)) if values else None
