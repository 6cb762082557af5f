"""The real Valkey, in memory only."""

from __future__ import annotations

import asyncio
import re
from typing import ClassVar

from harness.engines.real.base import RealServer

_LIMIT_S = 5.0


class Valkey(RealServer):
    """A server of the Redis protocol that writes nothing to disk."""

    program: ClassVar[str] = "valkey-server"
    installation: ClassVar[str] = "valkey"
    start_s: float = 0.05

    @property
    def endpoint(self) -> str:
        """``redis://host:port``. Raises `EngineError` before the start."""
        return f"redis://{self.host}:{self.port}"

    def command(self) -> list[str]:
        """No snapshots, no log of writes."""
        options = {
            "--bind": self.host,
            "--port": self.port,
            "--save": "",
            "--appendonly": "no",
            "--dir": self.home,
        }
        return [str(self.executable), *(str(word) for option in options.items() for word in option)]

    async def answers(self) -> bool:
        """Whether PING is answered with PONG."""
        return await self._tell(b"PING\r\n", until=b"\r\n") == b"+PONG\r\n"

    async def discover(self) -> str:
        """``valkey_version`` of INFO; ``redis_version`` of a server that has no other."""
        said = (await self._tell(b"INFO server\r\nQUIT\r\n")).decode(errors="replace")
        found = re.search(r"valkey_version:(\S+)", said) or re.search(r"redis_version:(\S+)", said)
        return found[1] if found else ""

    async def _tell(self, command: bytes, *, until: bytes | None = None) -> bytes:
        """Inline commands and what comes back (Redis serialization protocol).

        Reads until ``until`` was seen or the server closes. Raises OSError.
        """
        async with asyncio.timeout(_LIMIT_S):
            reader, writer = await asyncio.open_connection(self.host, self.port)
            try:
                writer.write(command)
                return await (reader.readuntil(until) if until else reader.read(-1))
            except asyncio.IncompleteReadError as error:
                return error.partial
            finally:
                writer.close()
