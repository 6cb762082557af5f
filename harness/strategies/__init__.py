"""Hypothesis strategies that generate whole registries, for the tests of this project and yours.

They need the package ``hypothesis``; nothing else in the harness imports it, or this room::

    from hypothesis import given
    from harness import strategies

    @given(strategies.registries())
    def test_every_listed_name_has_a_route(registry): ...

What is generated passes through source texts and :func:`harness.registry.examine`, so every
registry is one that a person could have written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from harness.registry import Registry, RegistryError, examine
from harness.strategies.asking import fault_sets, names
from harness.strategies.planting import Defect, defects
from harness.strategies.plants import PLANTS
from harness.strategies.systems import systems
from harness.strategies.writing import Page, Style, System, source_bytes, write

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = [
    "PLANTS",
    "Defect",
    "Page",
    "Style",
    "System",
    "defects",
    "fault_sets",
    "names",
    "registries",
    "registry_of",
    "source_bytes",
    "sources",
    "styles",
    "systems",
    "write",
]


def styles() -> SearchStrategy[Style]:
    """Ways to write the same values down."""
    return st.builds(
        Style,
        flow=st.integers(1, 6),
        comments=st.booleans(),
        quotes=st.booleans(),
        order=st.none() | st.integers(0, 99),
    )


def sources() -> SearchStrategy[dict[str, bytes]]:
    """The contents of source files that load, by file name."""
    return st.builds(lambda system, style: source_bytes(write(system, style)), systems(), styles())


def registries() -> SearchStrategy[Registry]:
    """Registries without an error; warnings are possible."""
    return systems().map(registry_of)


def registry_of(system: System) -> Registry:
    """The registry of a system of plain values.

    Raises:
        RegistryError: the system has an error.
    """
    registry, findings = examine(source_bytes(write(system)))
    if registry is None:
        raise RegistryError(findings)
    return registry
