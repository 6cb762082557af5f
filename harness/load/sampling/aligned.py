"""The client's rows and the engines' samples on one axis of time; all of it pure functions.

Both are stamped with CLOCK_REALTIME. A sample is a look at one moment: what happened between two
looks is known of counters only, and of gauges nothing is claimed there.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from harness.engines.metrics import COUNTERS, Quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.load.journal.journal import Row
    from harness.load.sampling.sampling import Sample, Sampled

_MS = 1e6
_S = 1e9


def sent_unix_ns(row: Row) -> int:
    """When the last byte of its request was sent; when it was due, if that is not known."""
    return row.due_unix_ns + round((row.met.queue_ms or 0.0) * _MS)


def in_flight(rows: Iterable[Row], moments_ns: Sequence[int]) -> list[int]:
    """How many requests were under way in the client's view at each of ``moments_ns``, ascending.

    Under way is from sent to ended. The rows may come in any order and are not kept.
    """
    steps = [0] * (len(moments_ns) + 1)
    for row in rows:
        begun = bisect_right(moments_ns, sent_unix_ns(row) - 1)
        ended = bisect_right(moments_ns, row.ended_unix_ns - 1)
        if begun < ended:
            steps[begun] += 1
            steps[ended] -= 1
    return list(accumulate(steps))[:-1]


@dataclass(frozen=True, slots=True)
class View:
    """One moment as both saw it."""

    at_unix_ns: int
    """In the middle between asking the engine and its answer."""
    client: int
    """Requests under way in the client's view."""
    running: float | None
    """Requests the engine works on; None if its dialect does not tell."""
    waiting: float | None

    @property
    def elsewhere(self) -> float | None:
        """Under way, but neither running nor waiting in the engine: on the wire or in the gateway.

        Below 0 where the engine serves others too, or looked a moment earlier or later.
        """
        if self.running is None:
            return None
        return self.client - self.running - (self.waiting or 0.0)


def views(rows: Iterable[Row], sampled: Sampled) -> tuple[View, ...]:
    """The client's view beside the engine's, at each of its samples."""
    samples = [sample for sample in sampled.samples if sample.said]
    moments = [middle_ns(sample) for sample in samples]
    return tuple(
        View(at_ns, count, sample.said.get(Quantity.RUNNING), sample.said.get(Quantity.WAITING))
        for at_ns, count, sample in zip(moments, in_flight(rows, moments), samples, strict=True)
    )


def middle_ns(sample: Sample) -> int:
    """The middle between asking and its answer: the page was made somewhere between them."""
    return (sample.asked_unix_ns + sample.at_unix_ns) // 2


@dataclass(frozen=True, slots=True)
class Spell:
    """A time for which a gauge was above 0 in every sample.

    It may have begun and ended up to a beat away.
    """

    begun_unix_ns: int
    ended_unix_ns: int
    most: float
    samples: int


def spells(sampled: Sampled, quantity: Quantity) -> tuple[Spell, ...]:
    """The times for which ``quantity`` was above 0. A gap ends one: nothing is known in it."""
    found = []
    for run in sampled.stretches():
        kept: list[Sample] = []
        for sample in (*run, None):
            if sample is not None and sample.said.get(quantity, 0.0) > 0:
                kept.append(sample)
            elif kept:
                most = max(each.said[quantity] for each in kept)
                first, last = middle_ns(kept[0]), middle_ns(kept[-1])
                found.append(Spell(first, last, most, len(kept)))
                kept = []
    return tuple(found)


def peak(sampled: Sampled, quantity: Quantity, begun_ns: int, ended_ns: int) -> float | None:
    """The most that a gauge was seen at within that time; the truth between samples may be more.

    None if no sample fell into it or none told.
    """
    seen = [
        sample.said[quantity]
        for sample in sampled.samples
        if quantity in sample.said and begun_ns <= middle_ns(sample) <= ended_ns
    ]
    return max(seen, default=None)


@dataclass(frozen=True, slots=True)
class Growth:
    """How much a counter grew; None, with the reason, where that cannot be told."""

    value: float | None
    why: str = ""


def growth(sampled: Sampled, quantity: Quantity, begun_ns: int, ended_ns: int) -> Growth:
    """How much a counter grew from the last sample before that time to the first after it.

    An upper bound where somebody else asks the engine too. An answer that is still under way at
    the last sample is not all counted yet.

    Raises:
        ValueError: the quantity is a gauge.
    """
    if quantity not in COUNTERS:
        raise ValueError(f"{quantity} is no counter: it does not only grow")
    told = [sample for sample in sampled.samples if quantity in sample.said]
    if not told:
        return Growth(None, sampled.absent or f"the engine does not tell its {quantity}")
    before = [sample for sample in told if middle_ns(sample) <= begun_ns]
    after = [sample for sample in told if middle_ns(sample) >= ended_ns]
    if not before or not after:
        return Growth(None, f"no sample {'after' if before else 'before'} it")
    between = [
        sample.said[quantity]
        for sample in told
        if before[-1].asked_unix_ns <= sample.asked_unix_ns <= after[0].asked_unix_ns
    ]
    if any(later < sooner for sooner, later in pairwise(between)):
        return Growth(None, "the counter fell: the engine was started anew")
    return Growth(between[-1] - between[0])


def rates(sampled: Sampled, quantity: Quantity) -> tuple[tuple[tuple[int, int, float], ...], ...]:
    """How fast a counter grew between successive samples: (from, to, by the second), by stretch.

    Nothing stands for the time between two stretches, nor where the counter fell.
    """
    found = []
    for run in sampled.stretches():
        told = [(middle_ns(each), each.said[quantity]) for each in run if quantity in each.said]
        steps = tuple(
            (begun, ended, (more - less) * _S / (ended - begun))
            for (begun, less), (ended, more) in pairwise(told)
            if ended > begun and more >= less
        )
        if steps:
            found.append(steps)
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one engine said of itself within one time, such as a step of a staircase."""

    samples: int
    most_running: float | None
    most_waiting: float | None
    waited: float | None
    """Share of the time in which something waited; None: no two samples follow each other."""
    most_kv: float | None
    """Largest share of the KV cache seen in use."""
    preemptions: Growth
    prefix_share: float | None
    """Share of the prompt tokens that were found in the prefix cache."""


def seen(sampled: Sampled, begun_ns: int, ended_ns: int) -> Seen:
    """Sum up what ``sampled`` said between two moments."""
    within = [
        sample.said
        for sample in sampled.samples
        if sample.said and begun_ns <= middle_ns(sample) <= ended_ns
    ]
    waiting = [said[Quantity.WAITING] for said in within if Quantity.WAITING in said]
    asked = growth(sampled, Quantity.PREFIX_QUERIES, begun_ns, ended_ns).value
    found = growth(sampled, Quantity.PREFIX_HITS, begun_ns, ended_ns).value
    return Seen(
        samples=len(within),
        most_running=peak(sampled, Quantity.RUNNING, begun_ns, ended_ns),
        most_waiting=max(waiting, default=None),
        waited=_waited(sampled, begun_ns, ended_ns),
        most_kv=peak(sampled, Quantity.KV, begun_ns, ended_ns),
        preemptions=growth(sampled, Quantity.PREEMPTIONS, begun_ns, ended_ns),
        prefix_share=found / asked if asked and found is not None else None,
    )


def _waited(sampled: Sampled, begun_ns: int, ended_ns: int) -> float | None:
    """Each sample stands for the time that is nearer to it than to another.

    An engine answers late while it works hard, and is looked at less then: of the samples alone
    too few are of such times. Nothing stands for a time in which one is missing.
    """
    seen_ns = waited_ns = 0
    for sooner, later in pairwise(sampled.samples):
        told = [one.said.get(Quantity.WAITING) for one in (sooner, later)]
        missing = later.asked_unix_ns - sooner.at_unix_ns > 2 * later.every_s * _S
        if missing or None in told:
            continue
        edges = [middle_ns(sooner), (middle_ns(sooner) + middle_ns(later)) // 2, middle_ns(later)]
        for (begun, ended), waiting in zip(pairwise(edges), told, strict=True):
            span = max(0, min(ended, ended_ns) - max(begun, begun_ns))
            seen_ns += span
            waited_ns += span * bool(waiting)
    return waited_ns / seen_ns if seen_ns else None
