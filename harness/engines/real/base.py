"""What all real servers have in common: a program, a port that stays theirs, a life and a death."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

from harness.engines.engine import EngineError, Kind
from harness.engines.real import asking
from harness.process.child import ChildProcess
from harness.process.ports import LOOPBACK, Reservation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
"""Nothing else of our environment reaches a server: several read HOST, PORT or API_KEY."""
_ALONE = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "NO_PROXY": "*",
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}
"""Offline, telling nobody, and one thread: more are slower on a model of a million parameters."""


class RealServer:
    """A real program as one child process, with its own port, folder and log.

    The port is kept from `start` to `stop`, also while the process is dead, so it refuses
    connections then and can come back (Linux; the programs set SO_REUSEADDR). ``directory`` gets
    ``ID.log`` and a folder ``ID`` that is the server's home and working folder.
    """

    kind: Kind = "real"
    program: ClassVar[str]
    """What it is called in errors and reports."""
    installation: ClassVar[str]
    """Its name for ``nox -s engines``."""
    ready_s: float = 30.0
    """Longest start that is still normal, on a busy machine."""
    start_s: float
    """Usual start on an idle machine: who starts slowly is killed rarely."""
    grace_s: ClassVar[float] = 5.0
    """Between SIGTERM and SIGKILL."""
    needs_key: ClassVar[bool] = False
    """Whether the path that tells readiness asks for the key."""

    def __init__(
        self,
        id: str,  # noqa: A002 - the noun of every engine
        *,
        executable: Path,
        directory: Path,
        api_key: str | None = None,
        host: str = LOOPBACK,
        port: int = 0,
    ) -> None:
        """Nothing is started yet; ``port`` 0 takes any free one."""
        self.id = id
        self.executable = executable
        # Absolute, because the server runs in a folder of its own.
        self.directory = directory.absolute()
        self.version = ""
        self._api_key, self._host, self._wanted = api_key, host, port
        self._port: Reservation | None = None
        self._child: ChildProcess | None = None

    # --- what each program adds

    def command(self) -> list[str]:
        """The command line; no secret may stand in it."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Variables it reads, secrets included; on top of those every server gets."""
        return {}

    def check(self) -> None:
        """Raise `EngineError` where the start must fail, before it is tried."""

    @property
    def health(self) -> str:
        """Path that answers 200 once it can work."""
        raise NotImplementedError

    async def discover(self) -> str:
        """The version, asked of the running server. Raises OSError."""
        raise NotImplementedError

    # --- the life of a server

    @property
    def endpoint(self) -> str:
        """Base URL, without a path. Raises `EngineError` before the start."""
        return f"http://{self._host}:{self.port}"

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._host

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

    @property
    def parts(self) -> tuple[RealServer, ...]:
        """Every server that must live for this one to work, itself first."""
        return (self,)

    @property
    def home(self) -> Path:
        """Its own folder."""
        return self.directory / self.id

    async def start(self) -> None:
        """Start the process; it listens once `ready` returns.

        Raises:
            EngineError: it runs already, or its model cannot be served.
            ProcessError, PortTaken: there is no program, or no port.
        """
        if self._child is not None:
            raise EngineError("engine.running", f"{self.id} runs already: stop it first")
        self.check()
        if self._port is None:
            self._port = Reservation(self._host, self._wanted)
        self.home.mkdir(parents=True, exist_ok=True)
        self._child = ChildProcess(
            self.command(),
            name=f"{self.program} {self.id}".strip(),
            env={
                **{name: os.environ[name] for name in _INHERITED if name in os.environ},
                **_ALONE,
                "HOME": str(self.home),
                **self.environment(),
            },
            cwd=self.home,
            log=self.directory / f"{self.id}.log",
        )
        try:
            await self._child.start()
        except BaseException:
            await self.stop()
            raise

    async def ready(self, timeout_s: float | None = None) -> None:
        """Return once it answers 200 on `health`; then `version` is what it says of itself.

        Raises:
            ProcessError: it ended first, or was not ready in ``timeout_s`` (default `ready_s`);
                the text holds the last lines of its log.
        """
        await self._running().ready(self.answers, timeout_s or self.ready_s)
        self.version = await self.discover()

    async def answers(self) -> bool:
        """Whether it can work now. Raises OSError where it does not even talk."""
        key = self._api_key if self.needs_key else None
        status, _ = await asking.get(self._host, self.port, self.health, key=key)
        return status == 200

    async def stop(self) -> None:
        """End the process and all it started, and give the port back. Safe to call twice."""
        try:
            if self._child is not None:
                await self._child.stop(self.grace_s)
        finally:
            self._child = None
            if self._port is not None:
                self._port.close()
                self._port = None

    def kill(self) -> None:
        """SIGKILL the process and its group: a real death. The port then refuses."""
        self._running().kill()

    async def gone(self) -> None:
        """Return once the process has ended."""
        await self._running().wait()

    async def restart(self) -> None:
        """A new process on the same port, whether the old one is dead or not; see `ready`."""
        if self._child is not None:
            await self._child.stop(0)
            self._child = None
        await self.start()

    def log_tail(self, lines: int = 20) -> str:
        """Last lines it wrote since it was started, secrets hidden."""
        return self._child.log_tail(lines) if self._child else ""

    async def __aenter__(self) -> Self:
        """Start it and wait until it can work; nothing is left if it cannot."""
        await self.start()
        try:
            await self.ready()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _ask(self, path: str) -> object:
        """JSON of one of its paths, asked with its key. Raises OSError."""
        return await asking.get_json(self._host, self.port, path, key=self._api_key)

    def _running(self) -> ChildProcess:
        if self._child is None:
            raise EngineError("engine.not-started", f"{self.id} is not running: start it first")
        return self._child


def broken_model(id_: str, path: Path, what: str) -> EngineError:
    """The error for a model that cannot be served, with its remedy."""
    return EngineError(
        "engine.model",
        f"{id_} cannot serve {path}: {what}. Delete it and run again, it is then made anew; "
        "or give another model.",
    )


def require_gguf(id_: str, path: Path) -> None:
    """Do nothing if ``path`` begins as a GGUF file does (its magic, llama.cpp gguf.h).

    Raises `EngineError` if it is missing, empty or something else.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise broken_model(id_, path, f"it cannot be read ({error.strerror})") from error
    if magic != b"GGUF":
        raise broken_model(id_, path, f"a GGUF file begins with 'GGUF', this with {magic!r}")


def require_names(id_: str, served_as: Sequence[str]) -> None:
    """Do nothing if there is a name to serve under. Raises `EngineError`."""
    if not served_as:
        raise EngineError("engine.model", f"{id_} has no model to serve: give it one name at least")
