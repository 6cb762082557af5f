"""Prometheus and promtool, out of the system's own package archive, without root."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from typing import TYPE_CHECKING

from harness.engines.installs.errors import InstallError
from harness.engines.installs.installation import WORK, Installation
from harness.engines.installs.stamp import Stamp
from harness.process.command import CommandError, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_PROGRAMS = ("prometheus", "promtool")


class Prometheus(Installation):
    """The Debian package unpacked beside the system, or the programs that are on PATH anyway.

    It is pinned by the archive's signature rather than by a hash of ours: apt checks that, and
    an archive keeps no old versions that a hash could name.
    """

    @property
    def version(self) -> str:
        """Version that is installed; before that the archive decides."""
        stamp = Stamp.read(self.location())
        return stamp.version if stamp else "of this system"

    def edition(self) -> str:
        """The system that its package is of, e.g. ``debian-12-x86_64``."""
        try:
            system = platform.freedesktop_os_release()
        except OSError:
            system = {}
        parts = (
            system.get("ID", sys.platform),
            system.get("VERSION_ID", ""),
            self.machine.architecture,
        )
        return "-".join(part for part in parts if part)

    def programs(self) -> Mapping[str, Path]:
        """``prometheus`` and ``promtool``."""
        return {name: self.location() / "bin" / name for name in _PROGRAMS}

    def _build(self, location: Path, say: Callable[[str], object]) -> None:
        apt, dpkg = self.machine.program("apt-get"), self.machine.program("dpkg")
        target = location / "bin"
        shutil.rmtree(target, ignore_errors=True)
        if apt and dpkg:
            work = location / WORK
            package = _download(apt, work, say)
            root = work / "root"
            run([dpkg, "--extract", package, root])
            (root / "usr" / "bin").rename(target)
        else:
            say("  no apt-get and dpkg here: looking for prometheus and promtool on PATH")
            self._link(target)

    def _link(self, target: Path) -> None:
        found = {name: self.machine.program(name) for name in _PROGRAMS}
        if missing := [name for name, path in found.items() if path is None]:
            raise InstallError(
                "install.debian",
                f"prometheus comes from a Debian archive, but this machine has no apt-get and "
                f"dpkg, and {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on "
                f"PATH. Install Prometheus the way your system does, then run this again.",
            )
        target.mkdir(parents=True)
        for name, path in found.items():
            (target / name).symlink_to(os.path.realpath(path or name))

    def _proofs(self) -> Sequence[Sequence[str | Path]]:
        return [[program, "--version"] for program in self.programs().values()]

    def _version_built(self) -> str:
        said = run([self.programs()["prometheus"], "--version"])
        return said[0].removeprefix("prometheus, version ").partition(" ")[0]


def _download(apt: Path, work: Path, say: Callable[[str], object]) -> Path:
    """The package, through the system's lists, or through lists of our own where those are old."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    say("  downloading the prometheus package of this system, 19 MB")
    ours = ["-o", f"Dir::State::Lists={work / 'lists'}", "-o", f"Dir::Cache={work / 'cache'}"]
    try:
        run([apt, "download", "prometheus"], cwd=work)
    except CommandError:
        say("  the system's package lists are empty or old; fetching fresh ones, for this only")
        (work / "lists" / "partial").mkdir(parents=True)
        (work / "cache" / "archives" / "partial").mkdir(parents=True)
        try:
            run([apt, *ours, "update"], cwd=work)
            run([apt, *ours, "download", "prometheus"], cwd=work)
        except CommandError as error:
            raise InstallError(
                "install.debian",
                f"the package prometheus could not be downloaded: {error}\n"
                f"Check that the package archive can be reached and has it "
                f"(sudo apt-get update; apt-cache policy prometheus), then run this again.",
            ) from error
    (package,) = work.glob("prometheus_*.deb")
    return package
