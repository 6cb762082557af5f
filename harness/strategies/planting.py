"""Sources with exactly one planted defect, and the place where it stands."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from harness.registry.load import MAPPINGS
from harness.strategies.plants import PLANTS
from harness.strategies.systems import systems
from harness.strategies.writing import Style, source_bytes, write

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from harness.registry import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """Sources that break ``rule`` at ``place``, and the same ones before.

    The place was counted while writing, not taken from the reader.
    """

    rule: str
    place: Place
    healthy: dict[str, bytes]
    sources: dict[str, bytes]


def defects(*rules: str) -> SearchStrategy[Defect]:
    """Sources with one planted defect: of one of ``rules``, else of any in :data:`PLANTS`."""
    return _defects(rules or tuple(sorted(PLANTS)))


@st.composite
def _defects(draw: DrawFn, rules: tuple[str, ...]) -> Defect:
    healthy = draw(systems())
    healthy[MAPPINGS]["resilience"] |= {"retries": 0, "allowed_fails": 1}
    rule = draw(st.sampled_from(rules))
    style = Style(flow=draw(st.integers(1, 6)), comments=draw(st.booleans()))
    broken = copy.deepcopy(healthy)
    file, path, on_key = PLANTS[rule](broken)
    pages = write(broken, style)
    return Defect(
        rule=rule,
        place=(pages[file].keys if on_key else pages[file].values)[path],
        healthy=source_bytes(write(healthy, style)),
        sources=source_bytes(pages),
    )
