"""What the recording client costs beside httpx, on the same 64-event stream.

The server is another process and the timer counts CPU time of this one, so a figure
is what the client itself spends on `STREAMS` answers at once. Nothing is asserted on
time: compare the rows of the table, or read ``httpx_over_recording`` in the extra info.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from harness.wire import End, RecordingClient, Request, frames, parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

EVENTS = 64
STREAMS = 32
ROUNDS = 5

SERVER = f"""
import asyncio

EVENT = b'data: {{"id":"bench","choices":[{{"delta":{{"content":"' + b"x" * 120 + b'"}}}}]}}\\n\\n'
CHUNK = b"%x\\r\\n%b\\r\\n" % (len(EVENT), EVENT)
HEAD = b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"

async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(HEAD)
    for _ in range({EVENTS}):
        await asyncio.sleep(0.002)  # one event a write, one write a read
        writer.write(CHUNK)
    writer.write(b"0\\r\\n\\r\\n")
    writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""

seconds: dict[str, float] = {}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server in another process; stopped at the end of the module."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/"
        finally:
            server.terminate()


def measure(benchmark: BenchmarkFixture, name: str, burst: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner() as runner:

        async def run() -> None:
            await burst()

        benchmark.pedantic(lambda: runner.run(run()), rounds=ROUNDS, warmup_rounds=1)
    benchmark.extra_info["streams"] = STREAMS
    benchmark.extra_info["events"] = EVENTS
    if benchmark.stats is not None:  # None where benchmarks are switched off
        seconds[name] = benchmark.stats.stats.median
    if {"httpx", "recording"} <= seconds.keys():
        ratio = seconds["httpx"] / seconds["recording"]
        benchmark.extra_info["httpx_over_recording"] = round(ratio, 1)


@pytest.mark.benchmark(group=f"cpu: {STREAMS} streams of {EVENTS} events", timer=time.process_time)
def test_recording_client(benchmark: BenchmarkFixture, url: str) -> None:
    request = Request(method="GET", url=url)

    async def burst() -> None:
        async with RecordingClient() as client:
            recorded = await asyncio.gather(*(client.send(request) for _ in range(STREAMS)))
        assert {exchange.end for exchange in recorded} == {End.EOF}
        last.append(len(frames(parse(recorded[-1]).pieces)))

    last: list[int] = []
    measure(benchmark, "recording", burst)
    assert set(last) == {EVENTS}


@pytest.mark.benchmark(group=f"cpu: {STREAMS} streams of {EVENTS} events", timer=time.process_time)
def test_httpx_async_client(benchmark: BenchmarkFixture, url: str) -> None:
    async def stream(client: httpx.AsyncClient) -> list[tuple[int, bytes]]:
        async with client.stream("GET", url) as response:
            return [(time.monotonic_ns(), data) async for data in response.aiter_raw()]

    async def burst() -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(limits=limits, trust_env=False) as client:
            recorded = await asyncio.gather(*(stream(client) for _ in range(STREAMS)))
        last.append(b"".join(data for _, data in recorded[-1]).count(b"\n\n"))

    last: list[int] = []
    measure(benchmark, "httpx", burst)
    assert set(last) == {EVENTS}
