"""Our engine under a closed loop: `python play.py PORT USERS REQUESTS` prints one line of JSON.

`python play.py PORT USERS REQUESTS ROUNDS` is a soak: as many loops on one engine, of which
nothing is kept, and after each the memory in use.

CPU time is that of the whole process while the load runs: the engine's thread and the caller's.
Parsing comes afterwards and has a figure of its own.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

BEGUN = time.perf_counter()

from readings import told  # noqa: E402

from harness import answer  # noqa: E402 - the time of the imports is measured
from harness.load.driving import Call, closed  # noqa: E402
from harness.wire import End, Request  # noqa: E402
from harness.wire.engine import LoadEngine  # noqa: E402

BODY = json.dumps(
    {"model": "timed", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
).encode()


def megabytes() -> float:
    """Most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main(port: int, users: int, requests: int) -> None:
    """Play, parse, print."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    request = Request(
        method="POST", url=url, headers=(("Content-Type", "application/json"),), body=BODY
    )
    call = Call(request)
    with LoadEngine(max_in_flight=max(4096, users)) as engine:
        ready_s, empty_mb = time.perf_counter() - BEGUN, megabytes()
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        drive = closed(engine, lambda _: call, users=users, requests=requests)
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    loaded_mb = megabytes()
    kept = [one.tape.kept or () for one in drive.recorded]
    recording = sum(sys.getsizeof(one) + sum(map(sys.getsizeof, one)) for one in kept)
    del kept
    parse_s = time.process_time()
    for recorded in drive.recorded:
        answer.read(recorded.exchange)  # and dropped, as where a load is judged while it runs
    parse_s = time.process_time() - parse_s
    answers = [answer.read(recorded.exchange) for recorded in drive.recorded]
    lags = [lag for one in drive.recorded for lag in one.receive_lags_ns]
    figures = told(answers, lags) | {
        "cpu_s": cpu_s,
        "parse_s": parse_s,
        "wall_s": wall_s,
        "start_s": ready_s,
        "empty_mb": empty_mb,
        "peak_mb": loaded_mb,
        "recording_mb": recording / 1e6,
        "slice_ns": drive.after.slice_ns,
    }
    print(json.dumps(figures))  # noqa: T201 - how the bench learns it


def soak(port: int, users: int, requests: int, rounds: int) -> None:
    """Play and drop; print the memory in use after each round, in MB."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    call = Call(Request(method="POST", url=url, body=BODY))
    page_mb = resource.getpagesize() / 1e6
    used, good = [], 0
    with LoadEngine(max_in_flight=max(4096, users)) as engine:
        for _ in range(rounds):
            drive = closed(engine, lambda _: call, users=users, requests=requests)
            good += sum(one.end is End.KEPT for one in drive.recorded)
            del drive
            used.append(round(int(Path("/proc/self/statm").read_text().split()[1]) * page_mb, 1))
    print(json.dumps({"requests": good, "resident_mb": used}))  # noqa: T201


if __name__ == "__main__":
    (soak if len(sys.argv) > 4 else main)(*map(int, sys.argv[1:]))
