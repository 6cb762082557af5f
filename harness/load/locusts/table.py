"""The rows of a run in Locust's own table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

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
            self._fire("E2E", one.name, one.ms, one.size, BrokenAnswerError(one.why))

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
    """Let go of old counts by second: over days they would be most of a master's memory."""
    for entry in (stats.total, *stats.entries.values()):
        for by_second in (entry.num_reqs_per_sec, entry.num_fail_per_sec):
            while len(by_second) > SECONDS_KEPT:
                del by_second[next(iter(by_second))]
