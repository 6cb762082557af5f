from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.registry import Registry, examine, load
from harness.registry.examples import sources


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
