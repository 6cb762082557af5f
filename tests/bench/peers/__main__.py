"""Compares load generators on one server of known timing: error, cost, size.

    python tests/bench/peers --only engine,C --levels 1,16,256,1024 --json figures.json

Each client plays a closed loop against a fresh server, whose ledger says when each request came
and each token left: the truth that the client's own figures are held against. Figures go to the
JSON file as they come; what it has already is not measured again unless ``--again``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2])]

from clients import Client, MissingError, everyone  # noqa: E402
from readings import quantile  # noqa: E402
from running import EVENTS, FailedError, busy_cores, server  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

    from readings import Reading
    from timed_server import Served

REQUESTS = {1: 8, 16: 96, 256: 1024, 1024: 3072, 2000: 6000}
"""Requests of a run, by its concurrency: about three answers a user, one at least."""
CHUNKS = EVENTS + 1
"""Writes of the server for one answer: its tokens, and the end."""
FEW = 8
"""Answers of the run that shows what a client takes to start."""
START_VARIES = 0.2
"""Share by which a client's start differs from run to run, in CPU time."""
COLUMNS = (
    ("client", "client", "{:<13}"),
    ("level", "streams", "{:>7}"),
    ("requests", "good", "{:>6}"),
    ("of_load", "% load", "{:>7.0f}"),
    ("ttft_p50_ms", "TTFT50", "{:>8.1f}"),
    ("ttft_p50_error", "err %", "{:>7.1f}"),
    ("ttft_p99_ms", "TTFT99", "{:>8.1f}"),
    ("ttft_p99_error", "err %", "{:>7.1f}"),
    ("itl_p50_ms", "ITL50", "{:>7.2f}"),
    ("itl_p50_error", "err %", "{:>7.1f}"),
    ("chunks_per_cpu_s", "chunks/CPU-s", "{:>13.0f}"),
    ("chunks_net", "no start", "{:>9.0f}"),
    ("cpu_s_per_1000", "CPU-s/1000", "{:>11.2f}"),
    ("with_parsing", "+parsing", "{:>9.2f}"),
    ("stamp_error_p99_ms", "stamp99", "{:>8.3f}"),
    ("merged_percent", "merged", "{:>7.2f}"),
    ("peak_mb", "MB", "{:>6.0f}"),
)


def main(arguments: Sequence[str]) -> int:
    """Measure what was asked, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    known = everyone()
    parser.add_argument("--only", default=",".join(client.name for client in known))
    parser.add_argument("--levels", default="1,16,256,1024")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; the median is shown")
    parser.add_argument("--busy", action="store_true", help="a busy neighbour on every core")
    parser.add_argument("--spread", type=float, default=0.0, help="answers of varied length")
    parser.add_argument("--servers", type=int, default=2, help="processes of the server")
    parser.add_argument("--install", action="store_true", help="install the peers and end")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--again", action="store_true", help="measure also what the file has")
    given = parser.parse_args(arguments)
    wanted = {name.strip() for name in given.only.split(",")}
    if unknown := wanted - {client.name for client in known}:
        parser.error(f"unknown: {', '.join(unknown)}; there are {[one.name for one in known]}")
    levels = [int(level) for level in given.levels.split(",")]
    rows: list[dict[str, Any]] = []
    if given.json is not None and given.json.exists():
        rows = json.loads(given.json.read_text())["rows"]
    there = [client for client in known if client.name in wanted and _prepared(client)]
    if given.install:
        return 0 if len(there) == len(wanted) else 1
    for client in there:
        for level in levels:
            have = sum(_is(row, client.name, level, given) for row in rows)
            for _ in range(given.repeat - (0 if given.again else have)):
                try:
                    rows.append(_measure(client, level, given))
                except FailedError as error:
                    _say(f"{client.name} at {level}: failed: {error}")
                    continue
                _say(_line(rows[-1]))
                if given.json is not None:
                    _keep(given.json, rows)
    _say("\n" + " ".join(_head(title, form) for _, title, form in COLUMNS))
    for row in sorted(_medians(rows), key=lambda row: (row["conditions"], row["level"])):
        _say(_line(row))
    return 0


def _prepared(client: Client) -> bool:
    try:
        client.prepare(_say)
    except (MissingError, FailedError) as error:
        _say(f"{client.name}: skipped: {error}")
        return False
    _say(f"{client.name}: there")
    return True


def _measure(client: Client, level: int, given: argparse.Namespace) -> dict[str, Any]:
    reading, ledger = _played(client, level, REQUESTS.get(level, 4 * level), given)
    truth = _truth(ledger, level)
    row: dict[str, Any] = {"client": client.name, "level": level, "conditions": _conditions(given)}
    row |= asdict(reading) | {"truth": truth, **reading.more}
    del row["more"]
    for name in ("ttft_p50", "ttft_p99", "itl_p50"):
        row[f"{name}_error"] = 100 * (row[f"{name}_ms"] / truth[f"{name}_ms"] - 1)
    row["of_load"] = truth["of_load"]
    if not client.own_cpu:
        few, _ = _played(client, level, FEW, given)
        row |= {"start_cpu_s": few.cpu_s, "start_requests": few.requests}
    return _costs(row)


def _played(
    client: Client, level: int, requests: int, given: argparse.Namespace
) -> tuple[Reading, list[Served]]:
    """What it says of its run, and what the server does. Raises FailedError."""
    with (
        tempfile.TemporaryDirectory() as folder,
        server(given.servers, given.spread) as (port, ledger),
        busy_cores() if given.busy else nullcontext(),
    ):
        reading = client.play(port, level, requests, Path(folder))
    if len(ledger) < reading.requests:
        raise FailedError(f"the ledger has {len(ledger)} of {reading.requests} answers")
    return reading, ledger


def _truth(ledger: Sequence[Served], level: int) -> dict[str, float]:
    """What the server knows of the same requests."""
    ttft = [(served.at_ns[0] - served.asked_ns) / 1e6 for served in ledger]
    gaps = [(later - first) / 1e6 for served in ledger for first, later in pairwise(served.at_ns)]
    nominal_s = 0.1 + 0.02 * (EVENTS - 1)
    lasted = (max(s.at_ns[-1] for s in ledger) - min(s.asked_ns for s in ledger)) / 1e9
    rounds = math.ceil(len(ledger) / level)
    return {
        "requests": len(ledger),
        "ttft_p50_ms": quantile(ttft, 0.5),
        "ttft_p99_ms": quantile(ttft, 0.99),
        "itl_p50_ms": quantile(gaps, 0.5),
        "itl_p99_ms": quantile(gaps, 0.99),
        "of_load": 100 * rounds * nominal_s / lasted,
    }


def _costs(row: dict[str, Any]) -> dict[str, Any]:
    """What an answer costs: of the whole process, and without what the client takes to start.

    The start is that of a run of a few answers at the same concurrency. It varies from run to run,
    so what is little beside it is not told.
    """
    cpu_s, requests = row["cpu_s"], row["requests"]
    row["chunks_per_cpu_s"] = requests * CHUNKS / cpu_s
    row["cpu_s_per_1000"] = 1000 * cpu_s / requests
    row["with_parsing"] = 1000 * (cpu_s + row.get("parse_s", math.nan)) / requests
    start_s = row.get("start_cpu_s", math.nan)
    net_s = cpu_s - start_s
    if net_s > START_VARIES * start_s:
        row["chunks_net"] = (requests - row["start_requests"]) * CHUNKS / net_s
    return row


def _medians(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each client, level and condition: the run with the median cost."""
    groups: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["client"], row["level"], row["conditions"]), []).append(row)
    ranked = (sorted(group, key=lambda row: row["chunks_per_cpu_s"]) for group in groups.values())
    return [group[len(group) // 2] for group in ranked]


def _conditions(given: argparse.Namespace) -> str:
    busy = "busy neighbours" if given.busy else "idle"
    return f"{busy}, spread {given.spread:g}"


def _is(row: dict[str, Any], name: str, level: int, given: argparse.Namespace) -> bool:
    return (row["client"], row["level"], row["conditions"]) == (name, level, _conditions(given))


def _keep(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    machine = f"{os.cpu_count()} cores, Linux {platform.release()}, {platform.python_version()}"
    when = time.strftime("%Y-%m-%d", time.gmtime())
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps({"machine": machine, "date": when, "rows": rows}, indent=1))
    beside.replace(path)


def _line(row: dict[str, Any]) -> str:
    cells = []
    for key, _, form in COLUMNS:
        value = row.get(key)
        missing = value is None or (isinstance(value, float) and math.isnan(value))
        cells.append(_head("-", form) if missing else form.format(value))
    return " ".join(cells)


def _head(title: str, form: str) -> str:
    aligned = form[2:-1].partition(".")[0].rstrip("f")
    return f"{title:{aligned}}"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is a program


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        _say("interrupted; what is done is kept: the same command goes on from there")
        sys.exit(130)
