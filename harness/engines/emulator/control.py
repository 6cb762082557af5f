"""How the harness talks to the emulator's process: JSON, one object a line, on its pipes.

First line in: the specification. First line out: ``{"port", "pid", "started_ns"}``, once it
listens; or ``{"error"}``. Then ``{"do": COMMAND, ...}`` in, and for each ``{"ok": ...}`` or
``{"error": text}`` out. The end of standard input is the end of the process: it cannot outlive
the harness.

==============  ===================================  ==========================================
command         with                                 answers
==============  ===================================  ==========================================
``ledger``      ``after``: records collected before  ``entries``, ``last``, ``more``
``forget``                                           number of the last record, now dropped
``fault``       ``faults``: list of faults to add    names of the faults that are set
``clear``                                            names of the faults that are set: none
``settings``    ``set``: changes                     all settings
``stats``                                            counters
``down``, ``up``                                     the port
==============  ===================================  ==========================================
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import stat
import sys
from dataclasses import asdict
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from harness.engines.emulator.server import Emulator
from harness.engines.spec import EmulatorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

_PAGE_BYTES = 4 * 1024 * 1024
"""Bytes of answers in one page of the ledger, before they are packed: a page is built between
two ticks of the metronome."""


async def serve() -> int:
    """Be the engine that standard input asks for, until it ends. Returns an exit code."""
    started_ns = monotonic_ns()
    if not stat.S_ISFIFO(os.fstat(0).st_mode) and not stat.S_ISSOCK(os.fstat(0).st_mode):
        sys.stderr.write("standard input must be a pipe: the harness starts this process\n")
        return 2
    lines = await _standard_input()
    say = await _standard_output()
    _allow_many_connections()
    try:
        spec = EmulatorSpec.from_json(json.loads(await lines.readline()))
        emulator = Emulator(spec)
        port = emulator.up()
    except (ValueError, OSError) as error:
        await say({"error": str(error)})
        return 2
    if emulator.batch is not None:
        sys.stderr.write(f"INFO {emulator.batch.config.capacity_line}\n")
        sys.stderr.flush()
    gc.collect()
    gc.disable()  # a full collection amid a thousand streams makes tokens tens of ms late
    await say({"port": port, "pid": os.getpid(), "started_ns": started_ns})
    while line := await lines.readline():
        await say(_obey(emulator, line))
    return 0


def _obey(emulator: Emulator, line: bytes) -> dict[str, Any]:
    try:
        order = json.loads(line)
        act = COMMANDS.get(order.pop("do", ""))
        if act is None:
            return {"error": f"no such command; there are {', '.join(COMMANDS)}"}
        return {"ok": act(emulator, **order)}
    except (ValueError, TypeError, AttributeError, OSError) as error:
        return {"error": str(error)}


def _ledger(emulator: Emulator, after: int) -> dict[str, Any]:
    emulator.collected(after)
    if not emulator.turns.running:
        gc.collect()
    entries: list[dict[str, Any]] = []
    size = 0
    for record in emulator.records:
        entries.append(record.to_wire())
        size += record.size
        if size > _PAGE_BYTES:
            break
    more = len(entries) < len(emulator.records)
    return {"entries": entries, "last": emulator.first_record + len(entries) - 1, "more": more}


def _forget(emulator: Emulator) -> int:
    last = emulator.first_record + len(emulator.records) - 1
    emulator.collected(last)
    return last


def _fault(emulator: Emulator, faults: list[dict[str, Any]]) -> list[str]:
    emulator.set_faults(faults)
    return emulator.faults.names


def _clear(emulator: Emulator) -> list[str]:
    emulator.clear_faults()
    return emulator.faults.names


def _settings(emulator: Emulator, set: dict[str, Any]) -> dict[str, Any]:  # noqa: A002 - on the wire
    emulator.configure(set)
    return asdict(emulator.settings)


def _down(emulator: Emulator) -> int:
    emulator.down()
    return emulator.port


COMMANDS: dict[str, Callable[..., Any]] = {
    "ledger": _ledger,
    "forget": _forget,
    "fault": _fault,
    "clear": _clear,
    "settings": _settings,
    "stats": Emulator.stats,
    "down": _down,
    "up": Emulator.up,
}


async def _standard_input() -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_PAGE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _standard_output() -> Callable[[dict[str, Any]], Any]:
    """A way to say one line; a harness slow to read holds up nothing but the next line."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, sys.stdout
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)

    async def say(value: dict[str, Any]) -> None:
        writer.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")
        await writer.drain()

    return say


def _allow_many_connections() -> None:
    """The usual soft limit of 1,024 open files is less than one load test."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
