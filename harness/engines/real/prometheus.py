"""The real Prometheus, reading the metrics of whoever it is told of."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, urlsplit

from harness.engines.real import asking
from harness.engines.real.base import RealServer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Any

CONFIG = "prometheus.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is to be read: its name (the job), the URL of its metrics, and the key it wants."""

    name: str
    url: str
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """How the last read of a target went: ``health`` is up, down or unknown (not read yet)."""

    name: str
    url: str
    health: str
    error: str


class Prometheus(RealServer):
    """A server that reads ``targets`` every ``every_s`` seconds.

    Keys are handed over as files without a name (memfd_create(2)): they are on no disk.
    """

    program: ClassVar[str] = "prometheus"
    installation: ClassVar[str] = "prometheus"
    start_s: float = 0.2

    def __init__(
        self,
        id: str = "prometheus",  # noqa: A002 - the noun of every engine
        *,
        executable: Path,
        directory: Path,
        targets: Iterable[Target] = (),
        every_s: int = 1,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(id, executable=executable, directory=directory, host=host, port=port)
        self.targets = tuple(targets)
        self._every_s = every_s
        self._keys: list[int] = []

    @property
    def health(self) -> str:
        """Answers once the storage is open and the configuration read."""
        return "/-/ready"

    def command(self) -> list[str]:
        """Storage and configuration in its own folder."""
        return [
            str(self.executable),
            f"--config.file={self.home / CONFIG}",
            f"--storage.tsdb.path={self.home / 'data'}",
            f"--web.listen-address={self.host}:{self.port}",
        ]

    async def start(self) -> None:
        """Write its configuration and start it; see `RealServer.start`."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._close_keys()
        # JSON is YAML (YAML 1.2, 1.3).
        (self.home / CONFIG).write_text(json.dumps(self._configuration(), indent=2))
        await super().start()

    async def stop(self) -> None:
        """End it, and forget the keys. Safe to call twice."""
        try:
            await super().stop()
        finally:
            self._close_keys()

    async def discover(self) -> str:
        """The version of its build."""
        return str((await self._data("/api/v1/status/buildinfo"))["version"])

    async def scrapes(self) -> list[Scrape]:
        """How the last read of each target went, in the order of their names."""
        active = (await self._data("/api/v1/targets?state=active"))["activeTargets"]
        found = [
            Scrape(
                name=each["labels"]["job"],
                url=each["scrapeUrl"],
                health=each["health"],
                error=each["lastError"],
            )
            for each in active
        ]
        return sorted(found, key=lambda scrape: scrape.name)

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The instant vector of a PromQL expression, now. Raises OSError if it is refused."""
        data = await self._data(f"/api/v1/query?query={quote(expression, safe='')}")
        vector: list[dict[str, Any]] = data["result"]
        return vector

    async def _data(self, path: str) -> Any:
        said = await asking.get_json(self.host, self.port, path)
        return said["data"]

    def _configuration(self) -> dict[str, Any]:
        every = f"{self._every_s}s"
        return {
            "global": {"scrape_interval": every, "scrape_timeout": every},
            "scrape_configs": [self._job(target) for target in self.targets],
        }

    def _job(self, target: Target) -> dict[str, Any]:
        parts = urlsplit(target.url)
        job: dict[str, Any] = {
            "job_name": target.name,
            "scheme": parts.scheme,
            "metrics_path": parts.path or "/metrics",
            "static_configs": [{"targets": [parts.netloc]}],
        }
        if target.key is not None:
            job["authorization"] = {"credentials_file": self._nameless(target.key)}
        return job

    def _nameless(self, key: str) -> str:
        """A path to ``key`` that exists in memory, for processes of this user, while we live."""
        descriptor = os.memfd_create("key", os.MFD_CLOEXEC)
        os.write(descriptor, key.encode())
        self._keys.append(descriptor)
        return f"/proc/{os.getpid()}/fd/{descriptor}"

    def _close_keys(self) -> None:
        while self._keys:
            os.close(self._keys.pop())
