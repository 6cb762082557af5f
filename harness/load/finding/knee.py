"""Where more load stops being worth its latency."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.load.finding.level import Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Knee:
    """The level of most power among those that were measured, and where the true one may lie."""

    level: float
    low: float | None
    """None: it may lie below all that was measured."""
    high: float | None
    """None: it may lie above all that was measured."""
    power: float
    """Answers a second by the seconds that an answer takes."""


def knee(visits: Iterable[Visit]) -> Knee | None:
    """The level with the most power: throughput by mean response time.

    That quotient rises while throughput grows faster than latency, and falls afterwards; where it
    is largest is the knee by the definition of Kleinrock (Power and deterministic rules of thumb
    for probabilistic problems in computer communications, ICC 1979). A queue M/M/1 has it at half
    of its capacity. It asks for no threshold, and is the same in open and closed loops. It lies
    between the neighbours of the levels whose power cannot be told from the largest.

    None: fewer than three levels were measured.
    """
    # Of several visits to a level the longest says most.
    best: dict[float, Visit] = {}
    for visit in visits:
        if (
            visit.e2e_ms
            and visit.per_s
            and (visit.level not in best or best[visit.level].seconds < visit.seconds)
        ):
            best[visit.level] = visit
    if len(best) < 3:
        return None
    seen = [best[level] for level in sorted(best)]
    powers = [_power(visit, 0.0) for visit in seen]
    top = max(range(len(seen)), key=powers.__getitem__)
    least = _power(seen[top], +1.0)
    like = [at for at, visit in enumerate(seen) if _power(visit, -1.0) >= least]
    below, above = min(like) - 1, max(like) + 1
    return Knee(
        level=seen[top].level,
        low=seen[below].level if below >= 0 else None,
        high=seen[above].level if above < len(seen) else None,
        power=powers[top],
    )


def _power(visit: Visit, side: float) -> float:
    e2e_ms = (visit.e2e_ms or math.inf) + side * visit.e2e_error_ms
    return visit.per_s / (e2e_ms / 1000) if e2e_ms > 0 else math.inf
