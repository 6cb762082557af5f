"""One installation: where it is, whether it is whole, how it comes and goes."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.engines.installs.errors import InstallError, explained
from harness.engines.installs.machine import Machine
from harness.engines.installs.stamp import Stamp, delete, folder_bytes, megabytes
from harness.process.command import CommandError, run
from harness.process.venv import EnvironmentBuildError, cache_root, exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

State = Literal["ready", "absent", "unfinished", "damaged"]

WORK = "work"
"""Folder, in that of an installation, for what is needed while it is built only."""
_MB = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Installation(ABC):
    """What one real engine needs, in a folder of its own under the user's cache.

    The folder's name holds the version, what the build depends on of this machine, and the
    fingerprint of the locks; its stamp is written last and lists the files that must be there.
    """

    name: str
    summary: str
    disk_mb: int
    """Space it takes while it is built; checked before anything is downloaded."""
    temporary_mb: int = 0
    """Of which pip needs this much in the folder for temporary files."""
    minutes: float = 0.1
    """What to expect on four idle cores; told, never waited for."""
    machine: Machine = field(default_factory=Machine, repr=False)

    @property
    @abstractmethod
    def version(self) -> str:
        """Version that is installed, or would be."""

    @abstractmethod
    def edition(self) -> str:
        """What tells one build from another in the folder's name."""

    @abstractmethod
    def programs(self) -> Mapping[str, Path]:
        """Name and place of every program, installed or not."""

    @abstractmethod
    def _build(self, location: Path, say: Callable[[str], object]) -> None:
        """Make everything under ``location``, going on from what is there."""

    def _refusal(self) -> InstallError | None:
        """Why this machine cannot build or run it, found out before anything is downloaded."""
        return None

    def _proofs(self) -> Sequence[Sequence[str | Path]]:
        """Commands that must succeed before the stamp is written."""
        return ()

    def _version_built(self) -> str:
        """Version of what lies in the folder now."""
        return self.version

    def location(self) -> Path:
        """Its folder; it need not exist."""
        return engines_root() / f"{self.name}-{self.edition()}"

    def libraries(self) -> Path:
        """Folder of the shared libraries its programs load. Raises InstallError if it has none."""
        raise InstallError("install.unknown", f"{self.name} has no libraries of its own.")

    def state(self) -> State:
        """Whether it is there and whole. Only sizes and permissions are read, no contents."""
        location = self.location()
        stamp = Stamp.read(location)
        if stamp is None:
            return "unfinished" if location.exists() else "absent"
        return "damaged" if stamp.damage(location) else "ready"

    def installed(self) -> bool:
        """Whether it is there, complete and undamaged."""
        return self.state() == "ready"

    def program(self, name: str) -> Path:
        """Path of one of its programs.

        Raises:
            InstallError: ``install.not-installed``, with the command that installs it; or
                ``install.unknown``.
        """
        programs = self.programs()
        if name not in programs:
            known = ", ".join(programs)
            raise InstallError("install.unknown", f"{self.name} has {known}, but no {name}.")
        state = self.state()
        if state != "ready":
            how = "not installed" if state == "absent" else state
            raise InstallError(
                "install.not-installed",
                f"{name} of {self.name} {self.version} cannot be used: it is {how} "
                f"({self.location()}). Run `{install_command(self.name)}`; it takes "
                f"{self.expected()}.",
            )
        return programs[name]

    def expected(self) -> str:
        """Time and space of an installation, as one tells a person."""
        long = self.minutes >= 1
        time = f"about {self.minutes:.0f} minutes" if long else "less than a minute"
        return f"{time} and up to {megabytes(self.disk_mb * _MB)}"

    def size_bytes(self) -> int:
        """Bytes on disk, 0 if it is absent; read from the stamp where there is one."""
        stamp = Stamp.read(self.location())
        return stamp.bytes if stamp else folder_bytes(self.location())

    def others(self) -> list[Path]:
        """Folders of its other versions, and of builds for another Python or processor."""
        current = self.location()
        return [
            folder
            for folder in sorted(engines_root().glob(f"{self.name}-*"))
            if folder.is_dir() and folder != current
        ]

    def install(self, say: Callable[[str], object] = lambda _: None) -> Path:
        """Install it unless it is there and whole; return its folder.

        Goes on where an interrupted installation stopped. Two at once wait for each other.

        Raises:
            InstallError: see `harness.engines.installs.errors.EXPLAINED`.
        """
        location = self.location()
        if self.installed():
            return location
        try:
            location.parent.mkdir(parents=True, exist_ok=True)
            with exclusive(location.parent / f"{location.name}.lock", say=say):
                if not self.installed():
                    self._install(location, say)
        except (CommandError, EnvironmentBuildError, OSError) as error:
            raise explained(self.name, error, location) from error
        return location

    def remove(self) -> int:
        """Delete it, unfinished and other builds included; return the bytes that were freed.

        Raises:
            InstallError: a file cannot be deleted.
        """
        freed = 0
        for folder in [self.location(), *self.others()]:
            if not folder.exists():
                continue
            try:
                with exclusive(folder.parent / f"{folder.name}.lock"):
                    freed += folder_bytes(folder)
                    delete(folder)
            except OSError as error:
                raise explained(self.name, error, folder) from error
        return freed

    def _install(self, location: Path, say: Callable[[str], object]) -> None:
        stamp = Stamp.read(location)
        if stamp is not None:
            lost = ", ".join(stamp.damage(location)[:3])
            say(f"{self.name}: {location} is damaged ({lost}); building it again")
            delete(location)
        if refusal := self._refusal():
            raise refusal
        self.require_room(self.disk_mb, self.temporary_mb)
        say(f"{self.name} {self.version}: {self.expected()}, into {location}")
        location.mkdir(exist_ok=True)
        self._build(location, say)
        for proof in self._proofs():
            run(proof)
        shutil.rmtree(location / WORK, ignore_errors=True)
        Stamp.write(location, self._version_built(), self.programs().values())
        say(f"{self.name} {self.version}: ready, {megabytes(self.size_bytes())}")

    def require_room(self, disk_mb: int, temporary_mb: int) -> None:
        """Raise InstallError unless the disks have so much room; what is built already counts."""
        location = self.location()
        there = folder_bytes(location) // _MB
        for folder, needed in [
            (location, max(0, disk_mb - there)),
            (Path(tempfile.gettempdir()), temporary_mb),
        ]:
            free = self.machine.free(folder)
            if free < needed * _MB:
                variable = "HARNESS_CACHE" if folder == location else "TMPDIR"
                raise InstallError(
                    "install.disk",
                    f"{self.name} needs {megabytes(needed * _MB)} in {folder}, but only "
                    f"{megabytes(free)} are free there. Nothing was downloaded. Free the space, "
                    f"or set {variable} to a folder on another disk.",
                )


def engines_root() -> Path:
    """The folder that all installations are in."""
    return cache_root() / "engines"


def install_command(name: str) -> str:
    """What a person types to install it."""
    return f"nox -s engines -- {name}"
