"""A virtual environment built from a hashed lock, once, and never half.

Standard library only: it runs before anything else is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STAMP = ".harness-complete"
_TAIL = 15


class EnvironmentBuildError(RuntimeError):
    """An environment could not be built; the text says what failed and what to do."""


def cache_root() -> Path:
    """Folder for what is built once per user: ``$HARNESS_CACHE``, else the XDG cache folder."""
    if chosen := os.environ.get("HARNESS_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "llm-gateway-harness"


def fingerprint(lock: Path) -> str:
    """First 12 hex digits of the SHA-256 over the lock and this Python's minor version."""
    digest = hashlib.sha256(lock.read_bytes())
    digest.update(f"{sys.implementation.cache_tag}-{sys.platform}".encode())
    return digest.hexdigest()[:12]


def python_of(location: Path) -> Path:
    """The interpreter inside an environment."""
    return location / "bin" / "python"


def is_complete(location: Path, lock: Path) -> bool:
    """Whether ``location`` was built to its end from exactly this lock and Python."""
    stamp = location / STAMP
    try:
        return stamp.read_text() == fingerprint(lock) and python_of(location).exists()
    except OSError:
        return False


def ensure(location: Path, lock: Path, *, say: Callable[[str], object] = lambda _: None) -> Path:
    """Build the environment unless it is already complete; return its interpreter.

    Packages are installed with ``--require-hashes --no-deps``. The stamp is written
    last, so an interrupted build is seen and redone; pip's own cache makes that cheap.
    Two builders of one environment wait for each other.

    Raises:
        EnvironmentBuildError: no pip, no disk, no network, or a hash that differs.
    """
    if is_complete(location, lock):
        return python_of(location)
    try:
        location.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(location.parent / f"{location.name}.lock"):
            if not is_complete(location, lock):
                _build(location, lock, say)
    except OSError as error:
        raise EnvironmentBuildError(
            f"cannot build {location}: {error}. Free some space or set HARNESS_CACHE to a "
            f"folder you can write to, then run the same command again."
        ) from error
    return python_of(location)


def _build(location: Path, lock: Path, say: Callable[[str], object]) -> None:
    shutil.rmtree(location, ignore_errors=True)
    pip = _pip_runner()
    _run([sys.executable, "-m", "venv", "--without-pip", str(location)], say=lambda _: None)
    total = sum(1 for line in lock.read_text().splitlines() if "==" in line.split("#")[0])
    say(f"installing up to {total} pinned packages into {location} (once)")
    seen = 0

    def count(line: str) -> None:
        nonlocal seen
        if line.startswith("Collecting "):
            seen += 1
            if seen % 25 == 0:
                say(f"  {seen} packages fetched")

    _run(
        [
            *pip,
            "--python",
            str(python_of(location)),
            "install",
            "--require-hashes",
            "--no-deps",
            "--no-input",
            "--disable-pip-version-check",
            "--progress-bar=off",
            "-r",
            str(lock),
        ],
        say=count,
    )
    (location / STAMP).write_text(fingerprint(lock))
    say(f"ready: {location}")


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


def _run(command: list[str], *, say: Callable[[str], object]) -> None:
    tail: deque[str] = deque(maxlen=_TAIL)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as child:
        try:
            for line in child.stdout or ():
                tail.append(line.rstrip())
                say(line)
        except BaseException:
            child.terminate()
            raise
    if child.returncode != 0:
        last = "\n  ".join(tail)
        raise EnvironmentBuildError(
            f"`{command[0]} … {command[-1]}` ended with {child.returncode}. Its last lines:\n"
            f"  {last}\nCheck the network and the free disk space, then run the same command "
            f"again: it goes on where it stopped."
        )


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
