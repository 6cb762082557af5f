"""What pins the engines: one hashed lock each; ``nox -s lock`` renews all but torch-cpu.lock."""

from __future__ import annotations

import re
from pathlib import Path

from harness.engines.installs.errors import InstallError
from harness.process.venv import fingerprint

_HERE = Path(__file__).parent


def lock(name: str) -> Path:
    """The lock file of this name."""
    return _HERE / f"{name}.lock"


def pinned(name: str, package: str) -> str:
    """The version of ``package`` that a lock pins.

    Raises:
        InstallError: it pins none.
    """
    line = rf"^{re.escape(package)}(?:\[[^\]]*\])?==([^\s;\\]+)"
    found = re.search(line, lock(name).read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise InstallError(
            "install.unknown", f"{lock(name)} pins no {package}; `nox -s lock` renews it."
        )
    return found[1]


def fingerprint_of(*names: str, tag: str | None = "") -> str:
    """`harness.process.venv.fingerprint` of locks; ``tag`` None: for the running Python's minor."""
    return fingerprint(*(lock(name) for name in names), tag=tag)
