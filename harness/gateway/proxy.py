"""The real LiteLLM proxy, one process in its own environment."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import yaml

from harness.gateway import environment
from harness.gateway.base import GatewayError
from harness.gateway.litellm_config import (
    CONFIG_FILE,
    required_variables,
)
from harness.gateway.litellm_config import (
    environment as settings,
)
from harness.process.child import ChildProcess, ProcessError
from harness.wire import Request
from harness.wire.http1 import parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from harness.registry import Registry
    from harness.wire import RecordingClient
    from harness.wire.http1 import Response

_INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
_QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOG": "WARNING",
    "NO_PROXY": "*",
    "PYTHONUNBUFFERED": "1",
}
READY_S = 120.0
"""A start takes 6 s on four idle cores, 26 s on two busy ones."""


class LiteLLMProxy:
    """One LiteLLM proxy on a loopback port; see `harness.gateway.base.Gateway`.

    ``config`` is what LiteLLM reads, written to ``directory`` at the start. ``secrets``
    are values by environment variable: they reach the process and no file. ``workers``
    processes share the port; each counts failures and cooldowns for itself.
    """

    name = "litellm"
    requests_counter = "litellm_proxy_total_requests_metric_total"

    def __init__(
        self,
        registry: Registry,
        *,
        config: Mapping[str, Any],
        secrets: Mapping[str, str],
        port: int,
        directory: Path,
        client: RecordingClient,
        workers: int = 1,
    ) -> None:
        self.version = environment.version()
        self.endpoint = f"http://{registry.ports.host}:{port}"
        self._registry, self._config = registry, config
        self._secrets = dict(secrets)
        self._host, self._port = registry.ports.host, port
        # Absolute, because the proxy runs in a folder of its own.
        self._directory, self._client = directory.absolute(), client
        self._workers = workers
        self._child: ChildProcess | None = None

    @property
    def key(self) -> str:
        """The bearer token every caller must send."""
        return self._secrets[self._registry.gateway.master_key.env]

    @property
    def pid(self) -> int | None:
        """Process id of the proxy; None before the start."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Start the proxy and wait until its health path answers.

        Raises:
            GatewayError: not installed, a secret missing, the process ended, or no
                answer within `READY_S`; the text holds the last lines and a remedy.
        """
        self._check_secrets()
        if not environment.installed():
            raise GatewayError(
                f"LiteLLM {self.version} is not installed in {environment.location()}. "
                "Run `python -m harness.gateway.environment` (the nox sessions do it for you)."
            )
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / CONFIG_FILE
        path.write_text(yaml.safe_dump(dict(self._config), sort_keys=False, allow_unicode=True))
        home = self._directory / "home"
        counters = self._directory / "counters"
        for folder in (home, counters):
            folder.mkdir(exist_ok=True)
        self._child = ChildProcess(
            [
                environment.location() / "bin" / "python",
                "-c",
                "from litellm import run_server; run_server()",
                "--config",
                path,
                "--host",
                self._host,
                "--port",
                str(self._port),
                "--num_workers",
                str(self._workers),
            ],
            name=f"LiteLLM {self.version}",
            env={
                **{name: os.environ[name] for name in _INHERITED if name in os.environ},
                **_QUIET,
                **settings(self._registry),
                **self._secrets,
                "HOME": str(home),
                # Several workers add up their metrics in files; LiteLLM would put them in /tmp.
                **({"PROMETHEUS_MULTIPROC_DIR": str(counters)} if self._workers > 1 else {}),
            },
            cwd=self._directory,
            log=self._directory / "litellm.log",
        )
        try:
            await self._child.start()
            await self._child.ready(self._answers, READY_S)
        except ProcessError as error:
            raise GatewayError(f"the gateway did not start: {error}") from error

    async def stop(self) -> None:
        """Stop the proxy and everything it started; safe to call twice."""
        if self._child is not None:
            await self._child.stop()

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._child is not None and self._child.running

    def log_tail(self, lines: int = 20) -> str:
        """The last lines it printed, secrets hidden."""
        return self._child.log_tail(lines) if self._child else ""

    def deployment_of(self, response: Response) -> str | None:
        """The deployment id in ``x-litellm-model-id``."""
        return response.header("x-litellm-model-id")

    def metrics_request(self) -> Request:
        """A read of the Prometheus page; without the slash LiteLLM only redirects."""
        return Request(method="GET", url=f"{self.endpoint}/metrics/")

    def _check_secrets(self) -> None:
        """Every ``os.environ/NAME`` of the configuration must have a value to stand for it."""
        places = required_variables(self._registry)
        wanted = dict.fromkeys(re.findall(r"os\.environ/(\w+)", yaml.safe_dump(dict(self._config))))
        missing = [name for name in wanted if not self._secrets.get(name)]
        if missing:
            listing = "; ".join(f"{name} ({places.get(name, 'generated')})" for name in missing)
            raise GatewayError(
                f"environment variables without a value: {listing}. LiteLLM would send their "
                "names upstream as keys. Set them, then run again."
            )

    async def _answers(self) -> bool:
        health = self._registry.gateway.health
        exchange = await self._client.send(
            Request(method="GET", url=self.endpoint + health.path),
            labels={"purpose": "readiness"},
            timeout_s=health.timeout_s,
        )
        return parse(exchange).status == health.expect_status
