"""What every engine is, real or emulated: the shape the stack and the judges see.

Standard library only; the emulator's process imports it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["real", "emulated", "remote"]


class EngineError(RuntimeError):
    """An engine did not start, does not answer, or was asked for something it cannot do.

    ``id`` is stable; the text says what happened, shows the last lines of the log where there is
    one, and what to do.
    """

    def __init__(self, id_: str, text: str) -> None:
        self.id = id_
        super().__init__(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a kind of server can do, by its own documentation or source."""

    stream_usage: bool
    """Honours ``stream_options.include_usage``."""
    choices: bool
    """Honours ``n`` > 1 rather than refusing or ignoring it."""
    retrieve_model: bool
    """Serves ``GET /v1/models/{id}``."""
    health: str
    """Path that answers 200 when the server can work."""
    metrics: str | None = None
    """Path of its Prometheus metrics."""
    native: tuple[str, ...] = ()
    """Generating paths outside ``/v1``."""


class Engine(Protocol):
    """Something that answers. ``endpoint`` is ``http://host:port``, without a path."""

    @property
    def id(self) -> str:
        """Provider id of the registry; an emulated engine signs its answers with it."""
        ...

    @property
    def kind(self) -> Kind:
        """Said in every report."""
        ...

    @property
    def endpoint(self) -> str:
        """Base URL; known once started."""
        ...

    @property
    def version(self) -> str:
        """Version of the server, or of the one whose dialect is emulated."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    async def start(self) -> None:
        """Start it. Raises `EngineError` or `ProcessError`."""
        ...

    async def ready(self, timeout_s: float = 30.0) -> None:
        """Return once it can answer. Raises `EngineError` or `ProcessError`."""
        ...

    async def stop(self) -> None:
        """End it; nothing is left running. Safe to call twice."""
        ...

    def log_tail(self, lines: int = 20) -> str:
        """Last lines of its log."""
        ...


class LocalEngine(Engine, Protocol):
    """An engine whose process is ours, so it can die and come back on the same port."""

    start_s: float
    """Usual start on an idle machine, in seconds: who starts slowly is killed rarely."""
    ready_s: float
    """Longest start that is still normal."""

    @property
    def pid(self) -> int | None:
        """Process that listens, while there is one."""
        ...

    @property
    def running(self) -> bool:
        """Whether its process lives, as far as we were told."""
        ...

    def kill(self) -> None:
        """SIGKILL it: a real death. The port refuses until `restart`."""
        ...

    async def gone(self) -> None:
        """Return once a killed process has ended."""
        ...

    async def restart(self) -> None:
        """A new process on the same port; see `ready`."""
        ...


class FaultSpec(Protocol):
    """A fault an engine can be told of; the catalogue in ``harness.faults`` has them."""

    def to_wire(self) -> Mapping[str, object]:
        """``{"name": ..., "settings": {...}, "times": n or None}``, all of it JSON."""
        ...
