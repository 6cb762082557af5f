"""The rows of a run in Locust's own table."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from locust import stats as locust_stats

from harness.load.journal.batches import US

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.stats import RequestStats, StatsEntry

    from harness.load.journal.batches import Read, Times

PHASES = {"ttft_ms": "TTFT", "itl_ms": "ITL", "tpot_ms": "TPOT", "e2e_ms": "E2E"}
"""The fields of `Met` that are shown, and the row of Locust's that shows each."""

SECONDS_KEPT = 600
"""Of the counts by second that Locust keeps for ever; it shows the rate of the last few."""
POINTS_KEPT = 2000
"""Of its charts, to which it adds one each five seconds; beyond it they lie further apart."""
TEXTS_KEPT = 200
"""Failures that are told apart by their text: one may name a request, and none comes twice."""


class BrokenAnswerError(Exception):
    """An answer that is not whole; the text says what is missing."""


class Table:
    """Locust's table in one process.

    To fire an event for each phase of each request takes longer than asking it. So a batch is
    added to Locust's statistics as a whole, unless somebody besides Locust listens for requests:
    then each is told.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._texts: set[str] = set()

    def show(self, batch: Read) -> None:
        """Add what came in."""
        if self._listened_to():
            for row, size in zip(batch.rows, batch.sizes, strict=True):
                said = json.loads(row)
                for which, phase in PHASES.items():
                    if which in said["met"]:
                        self._fire(phase, said["name"], said["met"][which], size)
        else:
            for times in batch.times:
                self._add(times)
        for one in batch.failed:
            self._fire("E2E", one.name, one.ms, one.size, BrokenAnswerError(self._text(one.why)))

    def _text(self, why: str) -> str:
        """``why``, or only its kind where there are many texts already."""
        if why not in self._texts:
            if len(self._texts) >= TEXTS_KEPT:
                return f"{why.partition(':')[0]}: other texts, all of them in the journal"
            self._texts.add(why)
        return why

    def _listened_to(self) -> bool:
        """Whether there are listeners that are not the runner's."""
        listening = getattr(self._environment.events.request, "_handlers", None)
        return listening is None or any(
            getattr(each, "__module__", "") != "locust.runners" for each in listening
        )

    def _fire(
        self, phase: str, name: str, ms: float, size: int, failure: Exception | None = None
    ) -> None:
        self._environment.events.request.fire(
            request_type=phase,
            name=name,
            response_time=ms,
            response_length=size,
            exception=failure,
            context={},
        )

    def _add(self, times: Times) -> None:
        """Have Locust log one of them, and add the others to what it then holds."""
        stats, phase = self._environment.stats, PHASES[times.which]
        least, *others = ((us / US, n) for us, n in times.us["counts"])
        stats.log_request(phase, times.name, times.us["least"] / US, times.size)
        counts = [(least[0], least[1] - 1), *others]
        rest = sum(n for _, n in counts)
        for entry in (stats.total, stats.get(times.name, phase)):
            _add_rest(entry, times, counts, rest)


def _add_rest(entry: StatsEntry, times: Times, counts: list[tuple[float, int]], rest: int) -> None:
    entry.num_requests += rest
    entry.num_reqs_per_sec[int(entry.last_request_timestamp or 0)] += rest
    entry.total_response_time += (times.us["total"] - times.us["least"]) / US
    entry.max_response_time = max(entry.max_response_time, times.us["most"] / US)
    for ms, n in counts:
        entry.response_times[locust_stats.bucket_response_time(ms)] += n


def trim(stats: RequestStats) -> None:
    """Let go of old counts by second and points of charts: over days they would fill a master."""
    for entry in (stats.total, *stats.entries.values()):
        for by_second in (entry.num_reqs_per_sec, entry.num_fail_per_sec):
            while len(by_second) > SECONDS_KEPT:
                del by_second[next(iter(by_second))]
    if len(stats.history) > POINTS_KEPT:
        _thin(stats.history)


def _thin(history: list[dict[str, Any]]) -> None:
    """Take out a quarter of the points, where they lie closest: a chart stays even to its end."""
    at = [datetime.fromisoformat(point["time"]).timestamp() for point in history]
    gone: set[int] = set()
    for place in sorted(range(1, len(at) - 1), key=lambda each: at[each + 1] - at[each - 1]):
        if not gone.intersection((place - 1, place + 1)) and len(gone) < POINTS_KEPT // 4:
            gone.add(place)
    history[:] = [point for place, point in enumerate(history) if place not in gone]
