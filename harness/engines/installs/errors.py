"""Why an engine could not be installed, and what to do about it."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

from harness.process.command import CommandError

if TYPE_CHECKING:
    from pathlib import Path

EXPLAINED = {
    "install.not-installed": (
        "An engine is asked for that is not installed\n\n"
        "Real engines live in the user's cache folder, each built once; this one is not there, or "
        "what is there is not whole.\n\n"
        "Remedy: Run nox -s engines -- NAME; `nox -s engines` lists what there is."
    ),
    "install.unknown": (
        "There is no such engine or program\n\n"
        "Only the engines that `nox -s engines` lists can be installed, and each has the programs "
        "that the error names.\n\n"
        "Remedy: Use one of the names in the error."
    ),
    "install.compiler": (
        "No C++ compiler was found\n\n"
        "llama.cpp is published as source only, so it is compiled here, once.\n\n"
        "Remedy: Install one (Debian and Ubuntu: apt install g++), or name yours in $CC and $CXX."
    ),
    "install.disk": (
        "The disk has no room for the engine\n\n"
        "It is checked before anything is downloaded; a disk that fills up meanwhile leaves a "
        "folder that is known to be unfinished.\n\n"
        "Remedy: Free the space, or set HARNESS_CACHE (or TMPDIR) to a folder on another disk."
    ),
    "install.cache": (
        "The cache folder cannot be written\n\n"
        "Engines are kept under $HARNESS_CACHE, else in the user's cache folder.\n\n"
        "Remedy: Make it writable, or set HARNESS_CACHE to a folder you can write to."
    ),
    "install.download": (
        "A download failed\n\n"
        "The package index or the mirror refused, was not reached, or has no such file for this "
        "machine.\n\n"
        "Remedy: Check network, proxy and pip's index settings; the same command goes on where "
        "it stopped."
    ),
    "install.hash": (
        "A download is not the file that was reviewed\n\n"
        "Every package is pinned by SHA-256. Another file under the same name may be an attack or "
        "a mirror's mistake; it was not installed.\n\n"
        "Remedy: Clear pip's cache (pip cache purge), check which index pip asks; do not weaken "
        "the lock."
    ),
    "install.cpu": (
        "This processor cannot run the engine\n\n"
        "Its machine code needs instructions that /proc/cpuinfo does not list, or it was ended by "
        "SIGILL when tried.\n\n"
        "Remedy: Use a machine that has them, or another engine."
    ),
    "install.python": (
        "No Python fits the engine\n\n"
        "Its packages exist for certain Python versions only.\n\n"
        "Remedy: Put one of the versions that the error names on PATH."
    ),
    "install.debian": (
        "A Debian package could not be had\n\n"
        "This engine is taken from the system's own package archive, without root.\n\n"
        "Remedy: On Debian and Ubuntu run apt-get update; elsewhere put the program on PATH."
    ),
    "install.build": (
        "A build step failed\n\n"
        "Engines are compiled or unpacked here, with what this machine has.\n\n"
        "Remedy: Fix what its last lines say, then run the same command: it goes on where it "
        "stopped. If that fails too, nox -s engines -- remove NAME makes it begin afresh."
    ),
}
"""Title, reason and remedy of every id, for ``harness explain``."""

_SIGILL = -4
_NO_ROOM = re.compile(r"No space left on device|Errno 28|Disk quota exceeded")
_HASH = re.compile(r"DO NOT MATCH THE HASHES|hash(?:es)? mismatch|Hash Sum mismatch", re.IGNORECASE)
_DOWNLOAD = re.compile(
    r"No matching distribution|Could not find a version|Could not fetch|Max retries|"
    r"ConnectionError|Connection broken|Connection refused|timed out|HTTP error|HTTPError|"
    r"Failed to fetch|Could not resolve|Temporary failure|IncompleteRead",
    re.IGNORECASE,
)


class InstallError(RuntimeError):
    """An engine is not there or could not be installed.

    ``id`` is a key of `EXPLAINED`; the text says what happened, why it matters and what to do.
    """

    def __init__(self, id_: str, text: str) -> None:
        self.id = id_
        super().__init__(text)


def explained(name: str, error: Exception, folder: Path) -> InstallError:
    """The `InstallError` that a failed step of installing ``name`` into ``folder`` amounts to."""
    text = str(error)
    if isinstance(error, OSError):
        room = error.errno in {errno.ENOSPC, errno.EDQUOT}
        id_ = "install.disk" if room else "install.cache"
    elif isinstance(error, CommandError) and error.returncode == _SIGILL:
        id_ = "install.cpu"
    elif _NO_ROOM.search(text):
        id_ = "install.disk"
    elif _HASH.search(text):
        id_ = "install.hash"
    elif _DOWNLOAD.search(text):
        id_ = "install.download"
    else:
        id_ = "install.build"
    title, why, remedy = EXPLAINED[id_].split("\n\n")
    return InstallError(
        id_,
        f"{name} was not installed into {folder}. {title}: {text}\n"
        f"{why}\n{remedy.removeprefix('Remedy: ')}",
    )
