"""Very many positive numbers in little memory, with a known error: a log-linear histogram."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_DIGITS = 4


@dataclass(slots=True)
class Histogram:
    """Counts of whole numbers of 0 or more, such as nanoseconds, by buckets.

    Buckets are as fine as ``digits`` decimal digits ask: none is wider than 10^-digits of its
    own lower edge (as in HdrHistogram). They are the same in every histogram of equal digits, so
    merging adds counts and loses nothing: parts merged in any order equal the whole. Memory
    grows with the range, not with the number of samples: at 3 digits, from 1 us to 1 hour in
    nanoseconds, at most 33,000 buckets.

    Raises:
        ValueError: digits other than 1 to 4.
    """

    digits: int = 3
    counts: dict[int, int] = field(default_factory=dict)
    """How many samples each bucket holds, by its lower edge."""
    least: int | None = None
    """The smallest sample, exactly; None without samples."""
    most: int | None = None
    """The largest sample, exactly."""
    total: int = 0
    """The sum of all samples, exactly."""

    def __post_init__(self) -> None:
        if not 1 <= self.digits <= MOST_DIGITS:
            raise ValueError(f"{self.digits} digits: give 1 to {MOST_DIGITS}")

    @property
    def n(self) -> int:
        """How many samples."""
        return sum(self.counts.values())

    @property
    def mean(self) -> float | None:
        """Their mean, exactly; None without samples."""
        return self.total / self.n if self.counts else None

    def add(self, value: int, times: int = 1) -> None:
        """Count ``value``, ``times`` over.

        Raises:
            ValueError: it is negative, or counted less than once.
        """
        if value < 0 or times < 1:
            raise ValueError(
                f"{value}, {times} times: only 0 and more can be counted, once or more"
            )
        edge = self._edge(value)
        self.counts[edge] = self.counts.get(edge, 0) + times
        self.total += value * times
        self.least = value if self.least is None else min(self.least, value)
        self.most = value if self.most is None else max(self.most, value)

    def update(self, values: Iterable[int]) -> None:
        """Count each of ``values``."""
        for value in values:
            self.add(value)

    def merge(self, other: Histogram) -> None:
        """Count everything that ``other`` has counted.

        Raises:
            ValueError: the other one is of other digits: its buckets do not fit.
        """
        if other.digits != self.digits:
            raise ValueError(f"{self.digits} and {other.digits} digits have no buckets in common")
        for edge, times in other.counts.items():
            self.counts[edge] = self.counts.get(edge, 0) + times
        self.total += other.total
        for value in (other.least, other.most):
            if value is not None:
                self.least = value if self.least is None else min(self.least, value)
                self.most = value if self.most is None else max(self.most, value)

    def quantile(self, q: float) -> float:
        """The ``q`` quantile: the middle of the bucket of the sample of that rank.

        It lies within 10^-digits of the smallest sample that a share ``q`` does not exceed.

        Raises:
            ValueError: no samples, or ``q`` outside [0, 1].
        """
        if self.least is None or self.most is None:
            raise ValueError("a quantile needs at least one sample")
        if not 0 <= q <= 1:
            raise ValueError(f"q={q} must lie between 0 and 1")
        rank = max(1, math.ceil(q * self.n))
        seen = 0
        for edge in sorted(self.counts):
            seen += self.counts[edge]
            if seen >= rank:
                middle = edge + (self._width(edge) - 1) / 2
                return min(max(middle, self.least), self.most)
        return float(self.most)

    def dump(self) -> dict[str, object]:
        """Return it as JSON-ready values."""
        return {
            "digits": self.digits,
            "least": self.least,
            "most": self.most,
            "total": self.total,
            "counts": [[edge, self.counts[edge]] for edge in sorted(self.counts)],
        }

    @classmethod
    def load(cls, dumped: Mapping[str, object]) -> Histogram:
        """Make it from what `dump` returned.

        Raises:
            ValueError: that is no histogram, or its parts contradict each other.
        """
        match dumped:
            case {
                "digits": int(digits),
                "least": int() | None as least,
                "most": int() | None as most,
                "total": int(total),
                "counts": list(counts),
            }:
                try:
                    found = cls(
                        digits, {int(edge): int(n) for edge, n in counts}, least, most, total
                    )
                except TypeError as error:
                    raise ValueError(f"no histogram: {error}") from None
            case _:
                raise ValueError(f"no histogram: it has {', '.join(map(str, dumped))}")
        whole = all(edge == found._edge(edge) and n > 0 for edge, n in found.counts.items())
        if not whole or (found.least is None) != (not found.counts):
            raise ValueError("no histogram: its buckets are not those of its digits")
        return found

    def _width(self, value: int) -> int:
        kept = (10**self.digits).bit_length() + 1
        return int(1 << max(0, value.bit_length() - kept))

    def _edge(self, value: int) -> int:
        return value & -self._width(value)
