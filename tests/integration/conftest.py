from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.gateway import environment

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
