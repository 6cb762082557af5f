"""Is it the API: the clauses of the OpenAI contract, what sends for them, and who breaks which."""

from __future__ import annotations

from harness.contract.check import Check, Tier, Violation, checks, explain
from harness.contract.lane import Observations, Result, judge, monitor, observe

__all__ = [
    "Check",
    "Observations",
    "Result",
    "Tier",
    "Violation",
    "checks",
    "explain",
    "judge",
    "monitor",
    "observe",
]
