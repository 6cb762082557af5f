"""How many streams one process of the client measures right, and how many several at once do.

``python tests/bench/safe_streams.py [--processes 2] [--rate 50] [--most 4096] [--locust]``

Each process is what a Locust worker has: a `LoadEngine` and a `Trust` with a reference server of
its own. All of them are asked for the same number of streams at the same time, and the number is
safe if all were right. So it is looked for, to ``--close``, for one process and then for
``--processes``; the ratio of all their streams to those of the one is what another process is
worth. Where there are cores enough, a process has one to itself and its server another.

With ``--locust`` a level is a whole load of ``locust --processes N`` on as many processes of
`timed_server`, whose 50 tokens a second are then the rate: each worker is measured before its load
and beside it, its rows are parsed meanwhile by a process of its own, and the level is safe if the
run ends with exit code 0. All of these share ``--cores`` cores a process: without it one process
has the whole machine for its helpers, and two have half of it each.

The search ends where a reference server cannot send what it is asked to: then a process carries
more than can be shown on this machine, and the report says so.
"""
# ruff: noqa: T201 - its result

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from harness.load.trust import Trust, believable, search
from harness.load.trust.search import Safe, here, remember
from harness.wire.engine import LoadEngine

HERE = Path(__file__).parent


def worker(rate: float, most: int, own: int, servers: int) -> None:
    """Answer each number of streams on standard input with what was found at it."""
    engine = LoadEngine(max_in_flight=2 * most)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        pin(servers)  # the server is a child and stays where it was born
        trust = running.enter_context(Trust(engine, streams=most, rate=rate, folder=Path(folder)))
        pin(own)
        running.enter_context(engine)
        for line in sys.stdin:
            found = trust.measure(int(line))
            said: dict[str, object] = {"right": believable(found)}
            if found is not None:
                said |= {
                    "ttft_p50": found.ttft_p50 and round(found.ttft_p50.off, 4),
                    "ttft_p99": found.ttft_p99 and round(found.ttft_p99.off, 4),
                    "itl_p50": found.itl_p50 and round(found.itl_p50.off, 4),
                    "merged": round(found.merged_share, 3),
                    "sent": round(found.delivered, 3),
                    "cpu": round(found.signs.cpu_share or 0.0, 2),
                }
            print(json.dumps(said), flush=True)


def loaded(processes: int, streams: int, seconds: float, cores: int = 0) -> bool | None:
    """Whether ``locust --processes N`` believes itself at so many streams each; None: it broke."""
    if cores:  # of this process, and so of all it starts
        os.sched_setaffinity(0, range(min(os.cpu_count() or 1, processes * cores)))
    told = ["64", "100", "20", "--spread=0.5", f"--processes={processes}"]
    timed = [sys.executable, str(HERE / "timed_server.py"), *told]
    with tempfile.TemporaryDirectory() as folder:
        # Nothing found so far: a worker that is wrong then does not look for what would be right.
        none = Safe(streams=0, above=None, rate=50.0, at_unix_s=time.time(), inputs=here())
        remember(none, folder=Path(folder) / "cache" / "load")
        places = [str(HERE.parents[1]), str(HERE), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
        environment["HARNESS_CACHE"] = f"{folder}/cache"
        with subprocess.Popen(timed, stdout=subprocess.PIPE, text=True) as server:
            try:
                port = int(server.stdout.readline()) if server.stdout else 0
                load = [sys.executable, "-m", "locust", "-f", str(HERE / "same_load.py")]
                load += ["--headless", "--only-summary", f"--processes={processes}"]
                load += [f"--users={processes * streams}", f"--run-time={seconds:g}"]
                load += [f"--host=http://127.0.0.1:{port}", f"--journal={folder}/journal"]
                done = subprocess.run(
                    load, env=environment, capture_output=True, text=True, check=False, timeout=300
                )
            finally:
                server.terminate()
        said = [line for line in done.stdout.splitlines() if line.startswith("INCONCLUSIVE: ")]
        print(
            f"  {processes} x {streams}: exit code {done.returncode}; {' '.join(said)}", flush=True
        )
        if done.returncode not in {0, 3}:
            print("\n".join(done.stderr.splitlines()[-15:]), flush=True)
    return {0: True, 3: False}.get(done.returncode)


def pin(core: int) -> None:
    """Stay on one core, where there are so many and the platform has a say."""
    if hasattr(os, "sched_setaffinity") and 0 <= core < (os.cpu_count() or 1):
        os.sched_setaffinity(0, {core})


def found(processes: int, given: argparse.Namespace) -> int:
    """The most streams of each of so many processes at once that were right."""
    if given.locust:
        safe = search(
            lambda streams: loaded(processes, streams, given.seconds, given.cores),
            rate=50.0, least=given.least, most=given.most, close=given.close,
        )  # fmt: skip
        print(f"{processes} process(es): {safe.streams} safe streams each, {safe.above} are not")
        return safe.streams
    cores = os.cpu_count() or 1
    apart = cores >= 2 * processes
    with ExitStack() as running:
        workers = []
        for place in range(processes):
            own, servers = (place, cores - 1 - place) if apart else (-1, -1)
            told = [str(given.rate), str(given.most), str(own), str(servers)]
            started = subprocess.Popen(
                [sys.executable, __file__, "--worker", *told],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            workers.append(running.enter_context(started))

        def right(streams: int) -> bool | None:
            for each in workers:
                if each.stdin is not None:
                    each.stdin.write(f"{streams}\n")
                    each.stdin.flush()
            said = [json.loads(each.stdout.readline()) for each in workers if each.stdout]
            verdicts = {one["right"] for one in said}
            print(f"  {processes} x {streams}: {json.dumps(said)}", flush=True)
            return False if False in verdicts else None if None in verdicts else True

        safe = search(right, rate=given.rate, least=given.least, most=given.most, close=given.close)
        for each in workers:
            if each.stdin is not None:
                each.stdin.close()
    unknown = safe.above is None and safe.streams < given.most
    blame = " (the reference server could not send more)" if unknown else ""
    print(f"{processes} process(es): {safe.streams} safe streams each, {safe.above} are not{blame}")
    return safe.streams


def main() -> None:
    """Look for both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rate", type=float, default=50.0, help="tokens a second of a stream")
    parser.add_argument("--least", type=int, default=64)
    parser.add_argument("--most", type=int, default=4096)
    parser.add_argument("--close", type=float, default=1.08)
    parser.add_argument("--locust", action="store_true", help="whole loads of Locust's workers")
    parser.add_argument("--seconds", type=float, default=8.0, help="of such a load")
    parser.add_argument("--cores", type=int, default=0, help="of such a load, for each process")
    given = parser.parse_args()
    began = time.monotonic()
    one = found(1, given)
    several = found(given.processes, given)
    if one:
        print(
            f"{given.processes} processes carry {several * given.processes / one:.2f} times the "
            f"streams of one, at {given.rate:g} tokens/s ({time.monotonic() - began:.0f} s)"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(float(sys.argv[2]), *map(int, sys.argv[3:6]))
    else:
        main()
