"""The steps from a source package to both servers of llama.cpp; each goes on where it stopped."""

from __future__ import annotations

import re
import shutil
import tarfile
from typing import TYPE_CHECKING

from harness.engines.installs.locks import lock
from harness.process.command import run
from harness.process.venv import pip_download, pip_install

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Say = Callable[[str], object]

_PACKAGE = "llama-cpp-python"
_TREE = "vendor/llama.cpp"
_PINNED = ("--require-hashes", "--no-deps", "--no-build-isolation", f"--no-binary={_PACKAGE}")
_STEP = 5
"""Percent of the compilation between two reports."""


def source(python: Path, work: Path, env: Mapping[str, str], say: Say) -> Path:
    """The source package, of the hash in its lock, in ``work``.

    pip asks the build backend for the package's metadata: ``python`` has that, and the PATH in
    ``env`` the cmake that it wants to see.
    """
    folder = work / "source"
    if not any(folder.glob("*.tar.gz")):
        say("  downloading the source of llama.cpp and its python server, 77 MB")
        wanted = (*_PINNED, "-r", lock("llama-cpp-source"), "-d", folder)
        pip_download(python, *wanted, env=env, say=_quiet)
    (archive,) = folder.glob("*.tar.gz")
    return archive


def tree(archive: Path, work: Path) -> Path:
    """The llama.cpp tree of the source package, unpacked once."""
    target = work / "llama.cpp"
    if not target.exists():
        partial = work / "unpacking"
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(archive) as opened:
            inside = [each for each in opened if each.name.partition("/")[2].startswith(_TREE)]
            if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and later
                opened.extractall(partial, inside, filter="data")
            else:
                opened.extractall(partial, inside)  # noqa: S202 - the hash is ours
        (top,) = partial.iterdir()
        (top / _TREE).rename(target)
        shutil.rmtree(partial)
    return target


def compile_server(
    folder: Path,
    work: Path,
    *,
    options: Mapping[str, str],
    jobs: int,
    env: Mapping[str, str],
    say: Say,
) -> Path:
    """Compile ``llama-server`` and its libraries; return the folder that holds them.

    Ninja keeps what an interrupted compilation has finished, and does the rest.
    """
    build = work / "build"
    if not _made_of(build, folder):
        shutil.rmtree(build, ignore_errors=True)
    given = [f"-D{name}={value}" for name, value in options.items()]
    run(["cmake", "-S", folder, "-B", build, "-G", "Ninja", *given], env=env)
    say(f"  compiling llama.cpp, {jobs} at a time")
    run(
        ["cmake", "--build", build, "--parallel", str(jobs), "--target", "llama-server"],
        env={**env, "NINJA_STATUS": "[%f/%t] "},
        each=_percent(say),
    )
    return build / "bin"


def _made_of(build: Path, folder: Path) -> bool:
    """Whether a build folder is of this tree: cmake refuses one that has been moved since."""
    try:
        cache = (build / "CMakeCache.txt").read_text(encoding="utf-8")
    except OSError:
        return False
    return f"CMAKE_HOME_DIRECTORY:INTERNAL={folder}\n" in cache


def bind(python: Path, work: Path, env: Mapping[str, str]) -> None:
    """Install the python package without compiling llama.cpp again."""
    pip_install(
        python,
        *_PINNED,
        "--no-index",
        "--find-links",
        work / "source",
        "--no-cache-dir",  # or pip takes a wheel that was once built with other options
        "--force-reinstall",
        "-r",
        lock("llama-cpp-source"),
        env={**env, "CMAKE_ARGS": "-DLLAMA_BUILD=OFF"},
        say=_quiet,
    )


def _percent(say: Say) -> Callable[[str], None]:
    told = 0

    def hear(line: str) -> None:
        nonlocal told
        if found := re.match(r"\[(\d+)/(\d+)\]", line):
            done, total = int(found[1]), int(found[2])
            percent = 100 * done // total
            if percent >= told + _STEP or done == total:
                told = percent
                say(f"  compiled {percent} % ({done} of {total})")

    return hear


def _quiet(_: str) -> None:
    """What pip prints is told only when it fails."""
