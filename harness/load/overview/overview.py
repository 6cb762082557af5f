"""Everything a load left behind, summed up: what a report draws and a person asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.engines.metrics import Quantity
from harness.evidence import EVIDENCE_FILE
from harness.evidence import read as read_evidence
from harness.load.finding.judged import CHECK as SEARCHED
from harness.load.journal.journal import Journal
from harness.load.overview.staircase import staircase
from harness.load.overview.timeline import timeline, was_given_up
from harness.load.sampling.aligned import in_flight, middle_ns, seen, spells
from harness.load.sampling.sampling import sampled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from harness.evidence import Evidence
    from harness.load.journal.journal import Facts
    from harness.load.journal.rows import Row
    from harness.load.overview.staircase import Staircase
    from harness.load.overview.timeline import Bin
    from harness.load.sampling.aligned import Seen, Spell
    from harness.load.sampling.sampling import Sampled

_FLOW = 4
"""Requests in a bin of what is only counted."""
_CAPACITY = "kv_cache_max_concurrency"
"""Label of vLLM's ``cache_config_info``: how many requests of the full context fit its cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One kind of failure, with the first request that ended so."""

    kind: str
    n: int
    example: str
    first_unix_ns: int
    """When that one was due."""
    load: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An engine along the load: its samples, and what they say beside the client's rows."""

    sampled: Sampled
    client: tuple[int, ...]
    """Requests under way in the client's view, at each sample that said something."""
    waited: tuple[Spell, ...]
    steps: tuple[Seen, ...]
    """Of each step of the staircase."""
    whole: Seen

    @property
    def capacity(self) -> float | None:
        """How many requests of the full context fit its KV cache, as it says itself."""
        try:
            return float(self.sampled.facts[_CAPACITY])
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A load, whole or partial, and all that was judged of it."""

    facts: Facts
    due: int
    whole: int
    given_up: int
    """Neither whole nor failed: levels were cut short (`harness.load.overview.timeline`)."""
    merged: int
    chunks: int
    bins: tuple[Bin, ...]
    """Over time, wide enough for latencies."""
    flow: tuple[Bin, ...]
    """The same in finer pieces, for what is counted: requests, tokens, failures."""
    staircase: Staircase
    failures: tuple[Failure, ...]
    """The most frequent first."""
    engines: tuple[Watched, ...]
    """The busiest first."""
    evidence: tuple[Evidence, ...]
    cut_evidence: bool
    """The last record of evidence was lost."""

    @property
    def failed(self) -> int:
        """Requests that were due, not given up, and got no whole answer."""
        return self.due - self.whole - self.given_up


def overview(folder: Path) -> Overview:
    """Read and sum up what stands in ``folder``.

    Raises:
        JournalError, SamplingError, EvidenceError: it cannot be read.
    """
    journal = Journal.read(folder)
    rows = journal.rows
    steps = staircase(rows)
    due, whole, given_up, merged, chunks, failures = _counted(rows)
    path = folder / EVIDENCE_FILE
    found = read_evidence(path) if path.exists() else None
    return Overview(
        facts=journal.facts,
        due=due,
        whole=whole,
        given_up=given_up,
        merged=merged,
        chunks=chunks,
        bins=timeline(rows),
        flow=timeline(rows, each=_FLOW),
        staircase=steps,
        failures=failures,
        engines=tuple(
            sorted((watched(rows, each, steps) for each in sampled(folder)), key=_idleness)
        ),
        evidence=tuple(_latest(found.records)) if found else (),
        cut_evidence=found.truncated if found else False,
    )


def watched(rows: Iterable[Row], sampled: Sampled, steps: Staircase) -> Watched:
    """Hold what an engine said against ``rows``."""
    said = [sample for sample in sampled.samples if sample.said]
    moments = [middle_ns(sample) for sample in said]
    begun, ended = (moments[0], moments[-1]) if moments else (0, 0)
    return Watched(
        sampled=sampled,
        client=tuple(in_flight(rows, moments)),
        waited=spells(sampled, Quantity.WAITING),
        steps=tuple(seen(sampled, step.begun_unix_ns, step.ended_unix_ns) for step in steps.steps),
        whole=seen(sampled, begun, ended),
    )


def _latest(records: Iterable[Evidence]) -> Iterator[Evidence]:
    """All but what an interrupted search said before it went on."""
    kept = list(records)
    last = max((at for at, one in enumerate(kept) if one.check == SEARCHED), default=None)
    for at, one in enumerate(kept):
        if one.check != SEARCHED or at == last:
            yield one


def _idleness(one: Watched) -> float:
    return -(one.whole.most_running or 0.0)


def _counted(rows: Iterable[Row]) -> tuple[int, int, int, int, int, tuple[Failure, ...]]:
    due = whole = given_up = merged = chunks = 0
    kinds: dict[str, Failure] = {}
    counts: dict[str, int] = {}
    for row in rows:
        due += 1
        merged += row.met.merged
        chunks += row.met.chunks
        if row.met.whole:
            whole += 1
            continue
        if was_given_up(row):
            given_up += 1
            continue
        kind = row.failure or "not whole"
        counts[kind] = counts.get(kind, 0) + 1
        if kind not in kinds or row.due_unix_ns < kinds[kind].first_unix_ns:
            kinds[kind] = Failure(
                kind=kind,
                n=0,
                example=row.met.why,
                first_unix_ns=row.due_unix_ns,
                load=row.load,
            )
    failures = (replace(each, n=counts[each.kind]) for each in kinds.values())
    most_first = tuple(sorted(failures, key=lambda each: -each.n))
    return due, whole, given_up, merged, chunks, most_first
