"""How fast an emulated engine starts, and what a streamed chunk costs it.

The alternative is the server one would write first: asyncio streams, a task for each connection
that sleeps until each token is due. Both send the same bytes to the same client in the same run;
``extra_info`` has chunks per CPU second of the server's process, and their ratio. Nothing is
asserted about speed.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.emulated import EmulatedEngine
from harness.engines.spec import EmulatorSpec, ServedModel, Settings

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

STREAMS = int(os.environ.get("BENCH_STREAMS", "200"))
TOKENS = int(os.environ.get("BENCH_TOKENS", "128"))
SETTINGS = Settings(ttft_ms=100, itl_ms=20)
LAST = b"0\r\n\r\n"

ALTERNATIVE = """
import asyncio, sys, time
chunks = sys.stdin.buffer.read().split(b"----")
head, chunks = chunks[0], chunks[1:]

async def answer(reader, writer):
    request = await reader.readuntil(b"\\r\\n\\r\\n")
    await reader.readexactly(int(request.lower().split(b"content-length: ")[1].split(b"\\r")[0]))
    start = time.monotonic() + TTFT
    writer.write(head)
    for k, chunk in enumerate(chunks):
        await asyncio.sleep(start + k * ITL - time.monotonic())
        writer.write(chunk)
        await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
""".replace("TTFT", str(SETTINGS.ttft_ms / 1000)).replace("ITL", str(SETTINGS.itl_ms / 1000))

linux = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(),
    reason="CPU time of another process is read from /proc",
)


def spec() -> EmulatorSpec:
    model = ServedModel("m", 1_000_000)
    return EmulatorSpec(id="bench", dialect="openai", models=(model,), settings=SETTINGS)


def request(**more: Any) -> bytes:
    asked = {"model": "m", "messages": [{"role": "user", "content": "go"}], **more}
    body = json.dumps(asked).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def drive(port: int, streams: int, asked: bytes) -> tuple[int, bytes]:
    """Open all streams, read them to their ends; return bytes received and the first of them."""
    selector = selectors.DefaultSelector()
    kept: dict[socket.socket, bytearray] = {}
    for _ in range(streams):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(asked)
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ)
        kept[client] = bytearray()
    first = next(iter(kept.values()))
    received = 0
    while kept:
        for key, _ in selector.select():
            client = key.fileobj
            assert isinstance(client, socket.socket)
            data = client.recv(65536)
            received += len(data)
            kept[client] += data
            if not data or kept[client].endswith(LAST):
                selector.unregister(client)
                client.close()
                del kept[client]
    return received, bytes(first)


def cpu_s(pid: int) -> float:
    """Time on a processor so far, to the nanosecond (Linux, Documentation/scheduler)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


@dataclass
class Run:
    chunks: int
    cpu_s: float

    @property
    def rate(self) -> int:
        return round(self.chunks / self.cpu_s)


def run_alternative(raw: bytes) -> Run:
    head, _, body = raw.partition(b"\r\n\r\n")
    chunks = []
    while body:
        size = int(body.partition(b"\r\n")[0], 16)
        length = len(body.partition(b"\r\n")[0]) + 4 + size
        chunks.append(body[:length])
        body = body[length:]
    command = [sys.executable, "-c", ALTERNATIVE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"----".join([head + b"\r\n\r\n", *chunks]))
        process.stdin.close()
        port = int(process.stdout.readline())
        before = cpu_s(process.pid)
        drive(port, STREAMS, request())
        spent = cpu_s(process.pid) - before
        process.kill()
    return Run(len(chunks) * STREAMS, spent)


@linux
def test_chunks_per_cpu_second(benchmark: BenchmarkFixture) -> None:
    async def emulated() -> tuple[Run, bytes, list[float]]:
        async with EmulatedEngine(spec()) as engine:
            assert engine.pid is not None
            before = cpu_s(engine.pid)
            asked = request(stream=True, max_tokens=TOKENS)
            received, raw = await asyncio.to_thread(drive, engine.port, STREAMS, asked)
            spent = cpu_s(engine.pid) - before
            entries = await engine.ledger()
            assert sum(len(entry.sent) for entry in entries) == received
            late_ms = [
                (at_ns - entry.received_ns) / 1e6 - SETTINGS.ttft_ms - k * SETTINGS.itl_ms
                for entry in entries
                for k, (at_ns, _) in enumerate(entry.writes[1 : TOKENS + 1])
            ]
            return Run(sum(len(entry.writes) for entry in entries), spent), raw, sorted(late_ms)

    ours, raw, late_ms = benchmark.pedantic(lambda: asyncio.run(emulated()), rounds=1)
    theirs = run_alternative(raw)
    benchmark.extra_info.update(
        streams=STREAMS,
        tokens=TOKENS,
        emulator_chunks_per_cpu_s=ours.rate,
        asyncio_streams_chunks_per_cpu_s=theirs.rate,
        ratio=round(ours.rate / theirs.rate, 2),
        late_ms_p50=round(late_ms[len(late_ms) // 2], 3),
        late_ms_p99=round(late_ms[len(late_ms) * 99 // 100], 3),
    )
    print(dict(benchmark.extra_info))  # noqa: T201 - shown with -s


def test_from_spawn_to_first_answer(benchmark: BenchmarkFixture) -> None:
    instant = EmulatorSpec(
        id="bench",
        dialect="openai",
        models=(ServedModel("m"),),
        settings=Settings(ttft_ms=0, itl_ms=0),
    )
    stopped: list[float] = []

    async def start() -> None:
        engine = EmulatedEngine(instant)
        try:
            await engine.start()
            reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
            writer.write(request(max_tokens=1))
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
        finally:
            stopped.append(time.perf_counter())
            await engine.stop()

    def spawn_to_answer() -> float:
        began = time.perf_counter()
        asyncio.run(start())
        return stopped[-1] - began

    times = [spawn_to_answer() for _ in range(5)]
    benchmark.extra_info["spawn_to_first_answer_ms"] = [round(each * 1000) for each in times]
    benchmark.pedantic(spawn_to_answer, rounds=5)
    print(dict(benchmark.extra_info))  # noqa: T201 - shown with -s
