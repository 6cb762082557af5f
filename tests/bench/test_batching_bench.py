"""1,024 streams at 50 tokens a second from one emulator process: how late, at what cost, how large.

Streams that begin together move in lock-step, and a burst of them costs its size divided by the
rate at which one process writes; so they begin spread over a second. The alternative is the same
load on an engine that batches, where all tokens of a step leave together. Nothing is asserted
about speed.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.emulated import EmulatedEngine
from harness.engines.scheduler import SchedulerConfig
from harness.engines.scheduler.steptime import Fitted
from harness.engines.spec import BatchingSpec, EmulatorSpec, ServedModel, Settings

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

STREAMS = int(os.environ.get("BENCH_STREAMS", "1024"))
TOKENS = int(os.environ.get("BENCH_TOKENS", "250"))
ITL_MS = 20.0
LAST = b"0\r\n\r\n"

linux = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(),
    reason="CPU time and memory of another process are read from /proc",
)


def spec(*, batching: bool) -> EmulatorSpec:
    limits = SchedulerConfig(
        num_blocks=STREAMS * (TOKENS // 16 + 3),
        max_num_seqs=STREAMS,
        max_num_batched_tokens=max(2048, STREAMS),
    )
    engine = BatchingSpec(scheduler=limits, step_time=Fitted(constant_s=ITL_MS / 1000))
    return EmulatorSpec(
        id="bench",
        dialect="openai",
        models=(ServedModel("m"),),
        settings=Settings(ttft_ms=100, itl_ms=ITL_MS),
        batching=engine if batching else None,
    )


def request() -> bytes:
    asked = {"model": "m", "stream": True, "max_tokens": TOKENS}
    body = json.dumps({**asked, "messages": [{"role": "user", "content": "go"}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def drive(port: int) -> None:
    """Begin the streams spread over a second, read them to their ends, keep nothing."""
    selector = selectors.DefaultSelector()
    asked, began, opened, left = request(), time.monotonic(), 0, STREAMS
    while left:
        while opened < STREAMS and time.monotonic() >= began + opened / STREAMS:
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(asked)
            client.setblocking(False)
            selector.register(client, selectors.EVENT_READ)
            opened += 1
        for key, _ in selector.select(0.0005 if opened < STREAMS else None):
            client = key.fileobj  # type: ignore[assignment]  # sockets are what was registered
            data = client.recv(65536)
            if not data or data.endswith(LAST):
                selector.unregister(client)
                client.close()
                left -= 1


def cpu_s(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


@linux
@pytest.mark.parametrize("batching", [False, True], ids=["by the clock", "batching"])
def test_many_streams(benchmark: BenchmarkFixture, batching: bool) -> None:
    async def run() -> dict[str, Any]:
        async with EmulatedEngine(spec(batching=batching)) as engine:
            assert engine.pid is not None
            idle_mb = memory_mb(engine.pid)
            before = cpu_s(engine.pid)
            await asyncio.to_thread(drive, engine.port)
            spent = cpu_s(engine.pid) - before
            stats = await engine.stats()
            full_mb = memory_mb(engine.pid)
            entries = await engine.ledger()
            chunks = sum(len(entry.writes) for entry in entries)
            late_ms = sorted(
                (at_ns - entry.received_ns) / 1e6 - 100 - k * ITL_MS
                for entry in entries
                for k, (at_ns, _) in enumerate(entry.writes[1 : TOKENS + 1])
            )
            found = {
                "streams": STREAMS,
                "chunks": chunks,
                "chunks_per_cpu_s": round(chunks / spent),
                "idle_mb": round(idle_mb),
                "with_ledger_mb": round(full_mb),
            }
            if batching:
                return {**found, "latest_step_ms": round(stats["batching"]["late_ms"], 1)}
            p50, p99 = late_ms[len(late_ms) // 2], late_ms[len(late_ms) * 99 // 100]
            return {**found, "late_ms_p50": round(p50, 2), "late_ms_p99": round(p99, 2)}

    found = benchmark.pedantic(lambda: asyncio.run(run()), rounds=1)
    benchmark.extra_info.update(found)
    print(found)  # noqa: T201 - shown with -s
