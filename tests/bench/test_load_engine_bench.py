"""What the load engine costs and how far its stamps are off, beside two other clients.

The server is another process and writes into each token when it sent it. The timer counts CPU
time of this process; ``receive error`` is the client's stamp of an event minus the server's, and
``ttft error`` the same of first events: what a client adds to a time to first token. Nothing is
asserted on time: read the table, and ``*_over_engine`` in the extra info.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from harness.wire import Clock, Exchange, RecordingClient, Request, frames, parse
from harness.wire.engine import LoadEngine, Recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

EVENTS, FIRST_MS, GAP_MS = 32, 200, 50
STAMP = re.compile(rb'"at":(\d+)')
SERVER = Path(__file__).with_name("timed_server.py")

Arrivals = list[list[tuple[int, int]]]
"""Of each stream, of each event: when the client says it came, when the server sent it."""

cpu_us: dict[tuple[str, int], float] = {}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server in another process; stopped at the end of the module."""
    command = [sys.executable, str(SERVER), str(EVENTS), str(FIRST_MS), str(GAP_MS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/"
        finally:
            server.terminate()


def arrivals(exchanges: list[Exchange]) -> Arrivals:
    return [
        [
            (frame.at_ns, int(stamp[1]))
            for frame in frames(parse(exchange).pieces)
            if (stamp := STAMP.search(frame.data))  # the end of an answer bears none
        ]
        for exchange in exchanges
    ]


def at(q: float, errors_ns: list[int]) -> float:
    return round(sorted(errors_ns)[int(q * (len(errors_ns) - 1))] / 1e6, 3)


def report(
    benchmark: BenchmarkFixture,
    client: str,
    streams: int,
    run: Callable[[], object],
    read: Callable[[], Arrivals],
    rounds: int,
) -> None:
    benchmark.pedantic(run, rounds=rounds)
    found = read()
    assert [len(stream) for stream in found] == [EVENTS] * streams
    errors = [ours - theirs for stream in found for ours, theirs in stream]
    first = [stream[0][0] - stream[0][1] for stream in found]
    info = benchmark.extra_info
    info["receive_error_ms_p50_p99"] = at(0.5, errors), at(0.99, errors)
    info["ttft_error_ms_p50_p99"] = at(0.5, first), at(0.99, first)
    if benchmark.stats is not None:  # None where benchmarks are switched off
        cost = benchmark.stats.stats.median / (streams * EVENTS) * 1e6
        cpu_us[client, streams] = cost
        info["cpu_us_an_event"] = round(cost, 1)
        if ours := cpu_us.get(("engine", streams)):
            info["cpu_over_engine"] = round(cost / ours, 1)


levels = pytest.mark.parametrize("streams", [256, 1024])
timed = pytest.mark.benchmark(group=f"cpu: streams of {EVENTS} events", timer=time.process_time)


@levels
@timed
def test_load_engine(benchmark: BenchmarkFixture, url: str, streams: int) -> None:
    request = Request(method="GET", url=url)
    last: list[Exchange] = []
    recorded: list[Recorded] = []

    with LoadEngine() as engine:

        def burst() -> None:
            tickets = [engine.submit(request) for _ in range(streams)]
            recorded[:] = [ticket.wait() for ticket in tickets]

        def read() -> Arrivals:
            last[:] = [one.exchange for one in recorded]
            lags = sorted(lag for one in recorded for lag in one.receive_lags_ns)
            vitals = engine.vitals()
            benchmark.extra_info["kernel_stamps"] = {e.clock for e in last} == {Clock.KERNEL}
            benchmark.extra_info["receive_lag_ms_p99"] = at(0.99, lags) if lags else None
            benchmark.extra_info["loop_lag_ms_p99"] = (vitals.loop_lag.quantile_ns(0.99) or 0) / 1e6
            merged = [f.merged for e in last for f in frames(parse(e).pieces)]
            benchmark.extra_info["merged_share"] = round(sum(merged) / len(merged), 4)
            return arrivals(last)

        report(benchmark, "engine", streams, burst, read, rounds=3)


@levels
@timed
def test_recording_client(benchmark: BenchmarkFixture, url: str, streams: int) -> None:
    request = Request(method="GET", url=url)
    recorded: list[Exchange] = []

    async def burst() -> None:
        async with RecordingClient() as client:
            recorded[:] = await asyncio.gather(*(client.send(request) for _ in range(streams)))

    report(
        benchmark,
        "asyncio",
        streams,
        lambda: asyncio.run(burst()),
        lambda: arrivals(recorded),
        rounds=3,
    )


@levels
@timed
def test_httpx_async_client(benchmark: BenchmarkFixture, url: str, streams: int) -> None:
    found: Arrivals = []

    async def stream(client: httpx.AsyncClient) -> list[tuple[int, bytes]]:
        async with client.stream("GET", url) as response:
            return [(time.monotonic_ns(), data) async for data in response.aiter_raw()]

    async def burst() -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(limits=limits, trust_env=False, timeout=60) as client:
            streamed = await asyncio.gather(*(stream(client) for _ in range(streams)))
        found[:] = [
            [(seen, int(stamp)) for seen, data in reads for stamp in STAMP.findall(data)]
            for reads in streamed
        ]

    report(benchmark, "httpx", streams, lambda: asyncio.run(burst()), lambda: found, rounds=1)
