"""What every gateway can be asked to do; LiteLLM is the first of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.registry import Registry
    from harness.wire import RecordingClient, Request
    from harness.wire.http1 import Response


class GatewayError(RuntimeError):
    """The gateway did not start, or stopped; the text holds its last lines and a remedy."""


@runtime_checkable
class Gateway(Protocol):
    """One door in front of the engines.

    ``endpoint`` is the root URL, ``key`` the bearer token every caller must send.
    """

    name: str
    version: str
    endpoint: str
    requests_counter: str
    """Of its metrics the one that counts requests."""

    @property
    def key(self) -> str:
        """The bearer token every caller must send."""

    @property
    def pid(self) -> int | None:
        """Process that listens; None before the start."""

    async def start(self) -> None:
        """Start it and wait until it answers; `GatewayError` if it does not."""

    async def stop(self) -> None:
        """Stop it and everything it started; safe to call twice."""

    def alive(self) -> bool:
        """Whether it still runs."""

    def log_tail(self, lines: int = 20) -> str:
        """The last lines it printed."""

    def deployment_of(self, response: Response) -> str | None:
        """Id of the deployment that answered, as the gateway itself reports it."""

    def metrics_request(self) -> Request:
        """The request that reads its metrics."""


class Make(Protocol):
    """Makes a gateway that has not started."""

    def __call__(
        self,
        registry: Registry,
        *,
        config: Mapping[str, Any],
        secrets: Mapping[str, str],
        port: int,
        directory: Path,
        client: RecordingClient,
    ) -> Gateway:
        """One that reads ``config``, as `Kind.compile` made it, and listens on ``port``.

        ``secrets`` are values by environment variable, which reach no file; ``directory`` is for
        what it writes.
        """


class Compile(Protocol):
    """Turns sources into what a gateway reads."""

    def __call__(self, registry: Registry, *, endpoints: Mapping[str, str]) -> dict[str, Any]:
        """Its configuration, the root URLs of providers replaced by ``endpoints``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a gateway is called, what it is generated from the sources, and how it is run."""

    name: str
    title: str
    """As it is named while it starts."""
    version: Callable[[], str]
    files: Callable[[Registry], dict[str, str]]
    """Its generated files, by name: same sources, same bytes."""
    compile: Compile
    variables: Callable[[Registry], Mapping[str, str]]
    """The environment variables it must be given, each with what it is for."""
    make: Make
