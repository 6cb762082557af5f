"""What every gateway can be asked to do; LiteLLM is the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from harness.wire import Request
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
    key: str

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
