"""In a process of its own: to import Locust patches the one that does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
SCRIPT = """
import io, random
from locust import events
from locust.env import Environment
from harness.load.goodput import Met
from harness.load.journal.batches import Batch, read
from harness.load.journal.rows import Row
from harness.load.locusts.table import Table

source = random.Random(1)
batches = []
for size in (1, 2, 30):
    batch = Batch()
    for number in range(size):
        whole = number % 7 != 3
        met = Met(whole=whole, why="why", **({"ttft_ms": round(source.expovariate(0.01), 3),
                  "e2e_ms": round(source.uniform(1, 20_000), 3)} if whole else {}))
        batch.add(Row(due_unix_ns=0, ended_unix_ns=5_000_000, number=number, name="ab"[number % 2],
                      load=1.0, worker="0", failure="" if whole else "cut", met=met), 100 + number)
    batches.append(batch.dump())
batches = list(read(io.BytesIO(b"".join(batches))))


def shown(listening):
    environment = Environment()
    environment.create_local_runner()
    heard = []
    if listening:
        environment.events.request.add_listener(lambda **said: heard.append(said))
    table = Table(environment)
    for batch in batches:
        table.show(batch)
    entries = [environment.stats.total, *environment.stats.entries.values()]
    return heard, {
        (one.name, one.method): (
            one.num_requests, one.num_failures, round(one.total_response_time, 3),
            one.min_response_time, one.max_response_time, one.total_content_length,
            sum(one.response_times.values()), one.get_response_time_percentile(0.5),
            one.get_response_time_percentile(0.95), sum(one.num_reqs_per_sec.values()),
        )
        for one in entries
    }, {key: one.occurrences for key, one in environment.stats.errors.items()}


heard, slow, errors = shown(listening=True)
none, fast, same = shown(listening=False)
print(len(heard), len(none), len(slow), sum(errors.values()))
for name in slow:
    print(name, slow[name] == fast[name], slow[name], fast[name])
print(errors == same)

from datetime import datetime, timedelta, timezone
from harness.load.locusts.table import POINTS_KEPT, SECONDS_KEPT, TEXTS_KEPT, trim
stats = Environment().stats
entry = stats.get("a", "E2E")
for second in range(2 * SECONDS_KEPT):
    entry.num_reqs_per_sec[second] += 1
trim(stats)
print(len(entry.num_reqs_per_sec) == SECONDS_KEPT, min(entry.num_reqs_per_sec) == SECONDS_KEPT)

begun, points = datetime(2026, 1, 1, tzinfo=timezone.utc), 17_280
for point in range(points):
    stats.history.append({"time": (begun + timedelta(seconds=5 * point)).isoformat()})
    trim(stats)
at = [(datetime.fromisoformat(one["time"]) - begun).total_seconds() / 5 for one in stats.history]
gaps = [after - before for before, after in zip(at, at[1:])]
print(POINTS_KEPT / 2 < len(at) <= POINTS_KEPT, at[0] == 0, at[-1] == points - 1,
      min(gaps) > 0, max(gaps) <= 4 * points / POINTS_KEPT)

environment = Environment()
environment.create_local_runner()
table = Table(environment)
for number in range(2 * TEXTS_KEPT):
    for _ in range(2):
        batch = Batch()
        met = Met(whole=False, why=f"{number}")
        batch.add(Row(due_unix_ns=0, ended_unix_ns=1, number=0, name="a", load=1.0, worker="0",
                      failure=f"error {500 + number % 2}", met=met), 1)
        for one in read(io.BytesIO(batch.dump())):
            table.show(one)
kinds = environment.stats.errors.values()
print(len(kinds) == TEXTS_KEPT + 2, sum(one.occurrences for one in kinds) == 4 * TEXTS_KEPT)
"""


def test_a_batch_adds_up_to_what_its_requests_would_one_by_one_and_long_runs_are_trimmed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    counts, *rows, errors, trimmed, thinned, texts = done.stdout.splitlines()
    # 33 requests, 4 of them not whole: two phases of each that is, and one event of the others.
    assert counts == "62 0 5 4"
    assert len(rows) == 5
    assert [row for row in rows if ") True (" not in row] == []
    assert errors == "True"
    assert trimmed == "True True", "counts by second of long ago are let go, the last are kept"
    assert thinned == "True True True True True", "a chart of a day covers it evenly"
    assert texts == "True True", "texts that name a request each are counted by their kind"
