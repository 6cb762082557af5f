"""A virtual environment built from a hashed lock, once, and never half.

Standard library only: it runs before anything else is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.process.command import CommandError, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

STAMP = ".harness-complete"
_LARGE_MB = 20.0
_QUIET = ("--no-input", "--disable-pip-version-check", "--progress-bar=off")


class EnvironmentBuildError(RuntimeError):
    """An environment could not be built; the text says what failed and what to do."""


def cache_root() -> Path:
    """Folder for what is built once per user: ``$HARNESS_CACHE``, else the XDG cache folder."""
    if chosen := os.environ.get("HARNESS_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "llm-gateway-harness"


def fingerprint(*locks: Path, tag: str | None = None) -> str:
    """First 12 hex digits of the SHA-256 over the locks and the Python they are for.

    ``tag`` is what `python_tag` says of that Python; default: the running one.
    """
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks))
    ours = f"{sys.implementation.cache_tag}-{sys.platform}"
    digest.update((ours if tag is None else tag).encode())
    return digest.hexdigest()[:12]


def python_tag(python: Path) -> str:
    """Implementation, minor version and platform of an interpreter, e.g. ``cpython-311-linux``.

    Raises:
        CommandError: it does not run.
    """
    ask = "import sys; print(f'{sys.implementation.cache_tag}-{sys.platform}')"
    return run([python, "-c", ask])[-1]


def python_of(location: Path) -> Path:
    """The interpreter inside an environment."""
    return location / "bin" / "python"


def is_complete(location: Path, *locks: Path, tag: str | None = None) -> bool:
    """Whether ``location`` was built to its end from exactly these locks and this Python."""
    stamp = location / STAMP
    try:
        return stamp.read_text() == fingerprint(*locks, tag=tag) and python_of(location).exists()
    except OSError:
        return False


def ensure(
    location: Path,
    *locks: Path,
    python: Path | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Path:
    """Build the environment unless it is already complete; return its interpreter.

    ``python`` is the interpreter to build it with; default: the running one. Packages are
    installed with ``--require-hashes --no-deps``. The stamp is written last, so an interrupted
    build is seen and redone; pip's own cache makes that cheap. Two builders of one environment
    wait for each other.

    Raises:
        EnvironmentBuildError: no pip, no disk, no network, or a hash that differs.
    """
    try:
        tag = python_tag(python) if python else None
        if is_complete(location, *locks, tag=tag):
            return python_of(location)
        location.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(location.parent / f"{location.name}.lock", say=say):
            if not is_complete(location, *locks, tag=tag):
                _build(location, locks, python or Path(sys.executable), say)
                (location / STAMP).write_text(fingerprint(*locks, tag=tag))
                say(f"ready: {location}")
    except CommandError as error:
        raise EnvironmentBuildError(
            f"{error}\nCheck the network and the free disk space, then run the same command "
            f"again: it goes on where it stopped."
        ) from error
    except OSError as error:
        raise EnvironmentBuildError(
            f"cannot build {location}: {error}. Free some space or set HARNESS_CACHE to a "
            f"folder you can write to, then run the same command again."
        ) from error
    return python_of(location)


def pip_install(
    python: Path,
    *options: str | Path,
    env: Mapping[str, str] | None = None,
    say: Callable[[str], object],
) -> None:
    """Run ``pip install`` on the environment of ``python``; ``say`` hears every line.

    Raises:
        CommandError: pip failed.
        EnvironmentBuildError: there is no pip.
    """
    run([*_pip_runner(), "--python", python, "install", *_QUIET, *options], env=env, each=say)


def pip_download(
    python: Path,
    *options: str | Path,
    env: Mapping[str, str] | None = None,
    say: Callable[[str], object],
) -> None:
    """Run ``pip download`` for ``python``. Raises as `pip_install`."""
    run([*_pip_runner(), "--python", python, "download", *_QUIET, *options], env=env, each=say)


@contextmanager
def exclusive(path: Path, *, say: Callable[[str], object] = lambda _: None) -> Iterator[None]:
    """Hold the lock file ``path``; whoever holds it already is named and waited for.

    The kernel lets go of it when its holder ends, however that happens.
    """
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            say(f"waiting for {holder}, which builds {path.stem}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        handle.truncate(0)
        handle.write(f"process {os.getpid()}")
        handle.flush()
        yield
        handle.truncate(0)


def _build(
    location: Path, locks: tuple[Path, ...], python: Path, say: Callable[[str], object]
) -> None:
    shutil.rmtree(location, ignore_errors=True)
    run([python, "-m", "venv", "--without-pip", location])
    pins = re.compile(r"^[^\s#]+==", re.MULTILINE)
    total = sum(len(pins.findall(lock.read_text())) for lock in locks)
    say(f"installing up to {total} pinned packages into {location} (once)")
    wanted = [word for lock in locks for word in ("-r", lock)]
    heard = _PipProgress(total, say)
    pip_install(python_of(location), "--require-hashes", "--no-deps", *wanted, say=heard)


class _PipProgress:
    """Hears what pip prints, tells what a person waits for."""

    def __init__(self, total: int, say: Callable[[str], object]) -> None:
        self._total, self._say, self._seen = total, say, 0

    def __call__(self, line: str) -> None:
        if line.startswith(("Collecting ", "Processing ")):
            self._seen += 1
            if self._seen % 25 == 0:
                self._say(f"  {self._seen} of {self._total} packages fetched")
        elif line.startswith("Installing collected packages"):
            self._say("  all fetched; unpacking")
        elif found := re.search(r"(?:Downloading|Using cached) (\S+?)-\S* \(([\d.]+) MB\)", line):
            name, size = found[1].rpartition("/")[2], float(found[2])
            if size >= _LARGE_MB:
                self._say(f"  {name}, {size:.0f} MB")


def _pip_runner() -> list[str]:
    """A command that runs pip; ``$HARNESS_PIP_PYTHON`` names an interpreter that has it."""
    if given := os.environ.get("HARNESS_PIP_PYTHON"):
        return [given, "-m", "pip"]
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if found := shutil.which("pip3") or shutil.which("pip"):
        return [found]
    raise EnvironmentBuildError(
        "no pip was found to install with. Run this through nox, or set HARNESS_PIP_PYTHON "
        "to a Python that has pip (Debian and Ubuntu: apt install python3-pip)."
    )
