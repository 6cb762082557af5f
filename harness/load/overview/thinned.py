"""Some values of a long series, for what their order says: in bounded memory."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from harness.statistics import memory_at

_MOST_KEPT = 8192


def _doubles() -> array[float]:
    return array("d")


@dataclass(slots=True)
class Thinned:
    """Some of the values of a series, evenly from all of it: every other goes when it is full."""

    values: array[float] = field(default_factory=_doubles)
    stride: int = 1
    seen: int = 0

    def add(self, value: float) -> None:
        """Take in the next value."""
        if self.seen % self.stride == 0:
            self.values.append(value)
            if len(self.values) > _MOST_KEPT:
                del self.values[1::2]
                self.stride *= 2
        self.seen += 1

    def correlation(self, q: float) -> float:
        """How many values of the series are worth one independent one where its ``q`` quantile is.

        By the `memory_at` of the values kept. Those between them are taken to say nothing of their
        own: the series is never worth more than what is kept of it.
        """
        return memory_at(self.values, q) * self.seen / len(self.values) if self.seen else 1.0
