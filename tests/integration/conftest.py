from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.gateway import environment

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def _gateway_installed() -> None:
    """The real LiteLLM; a missing one is built, which a second session does not repeat."""
    environment.install()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of the shipped configuration that a test may break."""
    copy = tmp_path / "config"
    shutil.copytree(ROOT / "config", copy)
    return copy


@pytest.fixture
def bearing() -> Callable[[Path], dict[int, str]]:
    """Processes that have a path in their command or environment, the whole machine over."""

    def find(mark: Path) -> dict[int, str]:
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes()
                if str(mark).encode() in words + (entry / "environ").read_bytes():
                    found[int(entry.name)] = words.replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
        return {pid: words for pid, words in found.items() if pid != os.getpid()}

    return find


@pytest.fixture
def left_behind(
    bearing: Callable[[Path], dict[int, str]],
) -> Callable[[Path], dict[int, str]]:
    """Processes that still bear a mark after a reasonable time to go."""

    def wait(mark: Path) -> dict[int, str]:
        for _ in range(300):
            if not bearing(mark):
                break
            time.sleep(0.1)
        return bearing(mark)

    return wait
