"""Where LiteLLM lives: an environment of its own, pinned by hash.

``python -m harness.gateway.environment`` builds it; a second run costs nothing.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from harness.process.venv import EnvironmentBuildError, cache_root, ensure, fingerprint, is_complete

LOCK = Path(__file__).with_name("litellm.lock")


def version() -> str:
    """The LiteLLM version the lock pins, e.g. ``1.106.2``."""
    found = re.search(r"^litellm(?:\[[^\]]*\])?==([^\s;\\]+)", LOCK.read_text(), re.MULTILINE)
    if found is None:
        raise EnvironmentBuildError(f"{LOCK} pins no litellm; run `nox -s lock` to renew it.")
    return found.group(1)


def location() -> Path:
    """The folder of the environment; its name holds version and lock fingerprint."""
    return cache_root() / f"litellm-{version()}-{fingerprint(LOCK)}"


def installed() -> bool:
    """Whether the environment is there and complete."""
    return is_complete(location(), LOCK)


def install() -> Path:
    """Build the environment unless it is there; return its interpreter.

    Raises:
        EnvironmentBuildError: see `harness.process.venv.ensure`.
    """
    return ensure(location(), LOCK, say=lambda line: sys.stderr.write(f"{line}\n"))


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{install()}\n")
    except EnvironmentBuildError as error:
        sys.exit(f"gateway environment: {error}")
