"""An engine that is emulated: one process, on one loopback port, until it is stopped."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness
from harness.engines.emulator import dialects
from harness.engines.engine import Capabilities, EngineError, Kind
from harness.engines.ledger import LedgerEntry
from harness.process.child import ChildProcess
from harness.process.ports import Reservation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from harness.engines.engine import FaultSpec
    from harness.engines.spec import EmulatorSpec

_ROOT = str(Path(harness.__file__).parents[1])


class EmulatedEngine:
    """An `engine.Engine` that answers as told, and knows every byte it sent.

    The port is kept for as long as the engine is, also while its process is down or dead, so it
    refuses connections then and can come back. What the process was told (faults, settings) and
    a ledger that was not collected are lost when it dies.
    """

    kind: Kind = "emulated"
    start_s: float = 0.3
    ready_s: float = 30.0

    def __init__(self, spec: EmulatorSpec, *, log: Path | None = None) -> None:
        """Nothing is started yet. Raises `SpecError` if there is no such dialect."""
        dialect = dialects.load(spec.dialect)
        self._spec, self._log = spec, log
        self.version: str = dialect.version
        self.capabilities: Capabilities = dialect.capabilities
        self._child: ChildProcess | None = None
        self._port: Reservation | None = None
        self._asking = asyncio.Lock()
        self._collected = 0

    @property
    def id(self) -> str:
        """Provider id; the first token of every answer carries it."""
        return self._spec.id

    @property
    def spec(self) -> EmulatorSpec:
        """What it was told to be."""
        return self._spec

    @property
    def endpoint(self) -> str:
        """Base URL, without a path. Raises `EngineError` before the start."""
        return f"http://{self._spec.host}:{self.port}"

    @property
    def port(self) -> int:
        """Its port, the same from `start` to `stop`. Raises `EngineError` before the start."""
        if self._port is None:
            raise EngineError("engine.not-started", f"{self.id} has no port before it is started")
        return self._port.port

    @property
    def pid(self) -> int | None:
        """Process id while there is a process."""
        return self._child.pid if self._child else None

    @property
    def running(self) -> bool:
        """Whether its process lives, as far as we were told."""
        return self._child is not None and self._child.running

    async def start(self) -> None:
        """Start the process; on return it listens.

        Raises:
            EngineError: it runs already, or its process could not listen.
            ProcessError, PortTaken: there is no process, or no port.
        """
        if self._child is not None:
            raise EngineError("engine.running", f"{self.id} runs already: stop it first")
        if self._port is None:
            self._port = Reservation(self._spec.host, self._spec.port)
        path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
        self._child = ChildProcess(
            [sys.executable, "-m", "harness.engines.emulator", self.id],
            name=f"emulated engine {self.id}",
            env={**os.environ, "PYTHONPATH": path},
            log=self._log,
            pipes=True,
            orphan_grace_s=0.2,
        )
        self._collected = 0
        try:
            await self._child.start()
            await self._introduce()
        except BaseException:
            await self.stop()
            raise

    async def _introduce(self) -> None:
        hello = await self._exchange(replace(self._spec, port=self.port).to_json())
        if "error" in hello:
            raise EngineError(
                "engine.not-started",
                f"{self.id} did not start on port {self.port}: {hello['error']}",
            )

    async def ready(self, timeout_s: float = 30.0) -> None:
        """Return once its port accepts and its loop answers. Leaves no trace in the ledger.

        Raises:
            EngineError, ProcessError: its process has ended, or is not ready in ``timeout_s``.
        """

        async def accepts() -> bool:
            _, writer = await asyncio.open_connection(self._spec.host, self.port)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            return True

        await self._running().ready(accepts, timeout_s)
        await self.stats()

    async def stop(self) -> None:
        """End the process and give the port back. Safe to call twice."""
        try:
            if self._child is not None:
                await self._child.stop(grace_s=1.0)
        finally:
            self._child = None
            if self._port is not None:
                self._port.close()
                self._port = None

    def log_tail(self, lines: int = 20) -> str:
        """Last lines of the process's standard error."""
        return self._child.log_tail(lines) if self._child else ""

    async def ledger(self) -> list[LedgerEntry]:
        """The answers that ended since the last call, in the order they ended.

        An answer is in it as soon as its last byte was handed to the kernel, so a client that has
        read an answer finds it here. One still being sent is not; see `stats`, ``unanswered``.
        """
        entries: list[LedgerEntry] = []
        more = True
        while more:
            page = await self._ask("ledger", after=self._collected)
            entries += [LedgerEntry.from_wire(entry) for entry in page["entries"]]
            self._collected, more = page["last"], page["more"]
        return entries

    async def forget(self) -> None:
        """Let go of what the ledger holds: in a long load that nobody asks it of, it only grows."""
        self._collected = await self._ask("forget")

    async def inject(self, *faults: FaultSpec) -> None:
        """Set faults, beside those that are set. Raises `EngineError` if it cannot do one."""
        wires = [dict(fault.to_wire()) for fault in faults]
        await self._ask("fault", faults=wires)

    async def clear(self) -> None:
        """Take all faults back."""
        await self._ask("clear")

    async def configure(self, **changes: float | None) -> Mapping[str, Any]:
        """Change `spec.Settings` for the answers to come; return all of them."""
        settings: dict[str, Any] = await self._ask("settings", set=changes)
        return settings

    async def stats(self) -> Mapping[str, Any]:
        """Counters: requests, connections, unanswered, running, waiting, faults, listening."""
        stats: dict[str, Any] = await self._ask("stats")
        return stats

    async def down(self) -> None:
        """Refuse connections and reset the open ones; the process lives."""
        await self._ask("down")

    async def up(self) -> None:
        """Listen again, on the same port."""
        await self._ask("up")

    def kill(self) -> None:
        """SIGKILL the process: a real death. The port then refuses. See `restart`."""
        self._running().kill()

    async def gone(self) -> None:
        """Return once its process has ended."""
        await self._running().wait()

    async def restart(self) -> None:
        """A new process on the same port, whether the old one is dead or not."""
        if self._child is not None:
            await self._child.stop(grace_s=0)
            self._child = None
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def _running(self) -> ChildProcess:
        if self._child is None:
            raise EngineError("engine.not-started", f"{self.id} is not running: start it first")
        return self._child

    async def _ask(self, command: str, **words: Any) -> Any:
        reply = await self._exchange({"do": command, **words})
        if "error" in reply:
            raise EngineError("engine.refused", f"{self.id} cannot {command}: {reply['error']}")
        return reply["ok"]

    async def _exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        """One line out, one line in; a caller that is cancelled leaves no half of it behind."""
        child = self._running()
        exchange = asyncio.create_task(self._send_and_receive(child, message))
        line = await asyncio.shield(exchange)
        if not line:
            raise EngineError(
                "engine.died",
                f"{self.id} is dead: its process no longer answers. Its last lines:\n"
                f"{child.log_tail() or '(nothing)'}\nStart it again with restart().",
            )
        reply: dict[str, Any] = json.loads(line)
        return reply

    async def _send_and_receive(self, child: ChildProcess, message: dict[str, Any]) -> bytes:
        async with self._asking:
            with suppress(OSError):
                child.stdin.write(json.dumps(message).encode() + b"\n")
                return await child.stdout.readline()
        return b""
