"""Ollama's API over a real llama-server: for where there is no Ollama to run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import harness
from harness.engines.emulator import dialects
from harness.engines.real.base import RealServer
from harness.engines.real.llama_server import LlamaServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.engine import Capabilities, Kind

_ROOT = str(Path(harness.__file__).parents[1])


class OllamaFacade(RealServer):
    """Any number of model names, all answered by one llama-server.

    Its kind is ``emulated``, for the wire is; the tokens, their timing and the end of an answer
    nobody reads any more are real. ``slots`` requests are answered at a time, ``queue`` more wait,
    the rest get Ollama's 503. The first use of a name takes ``load_s`` longer, and so does one
    after its ``keep_alive``.
    """

    kind: Kind = "emulated"
    program: ClassVar[str] = "Ollama facade"
    installation: ClassVar[str] = "llama-cpp"
    start_s: float = 0.5

    def __init__(
        self,
        id: str,  # noqa: A002 - the noun of every engine
        *,
        executable: Path,
        model: Path,
        served_as: Sequence[str],
        directory: Path,
        context_length: int = 4096,
        slots: int = 4,
        longest_answer: int = 256,
        queue: int = 512,
        load_s: float = 0.0,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """``executable`` is llama-server; Ollama itself takes no key."""
        super().__init__(
            id, executable=Path(sys.executable), directory=directory, host=host, port=port
        )
        self.capabilities: Capabilities = dialects.load("ollama").capabilities
        self.served_as = tuple(served_as)
        self.server = _Backend(
            f"{id}-llama-server",
            executable=executable,
            model=model,
            served_as=self.served_as,
            directory=directory,
            context_length=context_length,
            slots=slots,
            longest_answer=longest_answer,
        )
        """The llama-server behind it."""
        self._slots, self._queue, self._load_s = slots, queue, load_s

    @property
    def parts(self) -> tuple[RealServer, ...]:
        """The facade, and the llama-server behind it."""
        return (self, self.server)

    @property
    def health(self) -> str:
        """It listens once the llama-server is ready."""
        return "/api/version"

    def check(self) -> None:
        """Refuse what its llama-server would refuse."""
        self.server.check()

    def command(self) -> list[str]:
        """This Python, with the facade."""
        options = {
            "--host": self.host,
            "--port": self.port,
            "--upstream-host": self.server.host,
            "--upstream-port": self.server.port,
            "--parallel": self._slots,
            "--queue": self._queue,
            "--load-s": self._load_s,
        }
        words = [str(word) for option in options.items() for word in option]
        models = [word for name in self.served_as for word in ("--model", name)]
        return [str(self.executable), "-m", "harness.engines.real.ollama", *words, *models]

    def environment(self) -> dict[str, str]:
        """Where this program is."""
        path = filter(None, [_ROOT, os.environ.get("PYTHONPATH")])
        return {"PYTHONPATH": os.pathsep.join(path)}

    async def start(self) -> None:
        """Start both processes; see `RealServer.start`."""
        if self._child is None:
            await self.server.start()
        try:
            await super().start()
        except BaseException:
            await self.stop()
            raise

    async def ready(self, timeout_s: float | None = None) -> None:
        """Return once both can work; see `RealServer.ready`."""
        await self.server.ready(timeout_s)
        await super().ready(timeout_s)

    async def discover(self) -> str:
        """What it is, and the version of what answers."""
        return f"Ollama facade over llama-server {self.server.version}"

    async def stop(self) -> None:
        """End both processes. Safe to call twice."""
        try:
            await super().stop()
        finally:
            await self.server.stop()

    def kill(self) -> None:
        """SIGKILL both: a real death. The port then refuses."""
        super().kill()
        self.server.kill()

    async def gone(self) -> None:
        """Return once both have ended."""
        await super().gone()
        await self.server.gone()

    async def restart(self) -> None:
        """New processes on the same ports, whether the old ones are dead or not; see `ready`."""
        if self._child is not None:
            await self._child.stop(0)
            self._child = None
        await self.server.restart()
        await RealServer.start(self)

    def log_tail(self, lines: int = 20) -> str:
        """Last lines of both."""
        parts = (self.server.log_tail(lines), super().log_tail(lines))
        return "\n".join(part for part in parts if part)


class _Backend(LlamaServer):
    """With embeddings, which Ollama gives for any model."""

    def command(self) -> list[str]:
        """The OpenAI route needs one vector for each text: the mean."""
        return [*super().command(), "--embeddings", "--pooling", "mean"]
