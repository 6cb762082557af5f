from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.registry import Registry, examine, load
from harness.registry.examples import sources

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def shipped() -> Registry:
    return load(Path(__file__).parents[3] / "config")


@pytest.fixture
def registry_of() -> Callable[[str], Registry]:
    """A registry made of the minimal sources and a change to them."""

    def build(change: str) -> Registry:
        registry, findings = examine(sources(change))
        assert registry is not None, findings
        return registry

    return build
