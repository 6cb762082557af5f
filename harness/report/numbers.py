"""Numbers as text: short, and never rounded across the limit they are held against."""

from __future__ import annotations

from decimal import Decimal
from math import floor, isfinite, isinf, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.evidence import Evidence

_DIGITS = 3
_MOST = 17  # significant digits that tell any two floats apart
_PLAIN = 15  # powers of ten written without an exponent


def number(value: float, bound: float | None = None) -> str:
    """``value`` to three significant digits, integer digits all kept.

    Where ``bound`` is given, digits are added until the text stands on the same side
    of the bound as the value: 0.995 beside a bound of 1.0 reads ``0.995``, never ``1``.
    A number equal to its bound reads like its bound. ``inf`` and ``nan`` read as such.
    """
    if isinstance(value, int):
        return str(value)
    if not isfinite(value):
        return "∞" if value > 0 else "-∞" if isinf(value) else "not a number"
    wanted = _side(repr(value), bound)
    for digits in range(_DIGITS, _MOST + 1):
        text = _rounded(value, digits)
        if _side(text, bound) == wanted:
            return text
    return repr(value)


def exact(value: float | str) -> str:
    """``value`` as it stands in the evidence: the shortest text that reads back as the same."""
    return value if isinstance(value, str) else repr(value)


def measured(evidence: Evidence) -> str:
    """The value of a record with its unit, without samples and interval; empty if it has none."""
    if evidence.value is None:
        return ""
    if isinstance(evidence.value, str):
        text = evidence.value
    else:
        text = number(evidence.value, evidence.bound)
    return f"{text} {evidence.unit}" if evidence.unit else text


def qualified(evidence: Evidence) -> str:
    """What makes a value a figure: interval, samples, limit and what stood behind the gateway."""
    parts = []
    if evidence.interval is not None:
        low, high = evidence.interval
        parts.append(f"95 % CI {number(low, evidence.bound)} to {number(high, evidence.bound)}")
    if evidence.n is not None:
        parts.append(f"n = {evidence.n}")
    if evidence.bound is not None:
        parts.append(f"limit {limit(evidence.bound)}")
    if evidence.engine != "none":
        parts.append(f"engine: {behind(evidence)}")
    return ", ".join(parts)


def behind(evidence: Evidence) -> str:
    """What stood behind one record; its subject and the run say which engines those were."""
    return "real and emulated" if evidence.engine == "mixed" else evidence.engine


def limit(bound: float) -> str:
    """A limit, as it was written: never rounded, ``300.0`` reads ``300``."""
    text = repr(float(bound))
    return text.removesuffix(".0")


def _rounded(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    magnitude = floor(log10(abs(value)))
    if not -_PLAIN <= magnitude < _PLAIN:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - magnitude)}f}"


def _side(text: str, bound: float | None) -> int:
    """Whether the number reads as less (-1), equal (0) or more (1) than the limit as drawn."""
    if bound is None or not isfinite(bound):
        return 0
    drawn, other = Decimal(text), Decimal(repr(float(bound)))
    return (drawn > other) - (drawn < other)
