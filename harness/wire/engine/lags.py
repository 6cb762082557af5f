"""How late things were: many durations in little memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEPT_BITS = 6


class Lags:
    """Counts of durations in nanoseconds, each rounded down by less than 1/32 of itself.

    The largest is kept exactly. Two of them merge without loss: the buckets are always the
    same. Negative durations count as zero.
    """

    __slots__ = ("_counts", "most_ns")

    def __init__(self, counts: Mapping[int, int] | None = None, most_ns: int = 0) -> None:
        self._counts = dict(counts or {})
        self.most_ns = most_ns
        """The largest, in nanoseconds; 0 where there is none."""

    @property
    def counts(self) -> dict[int, int]:
        """How often each rounded duration was seen; a copy."""
        return dict(self._counts)

    @property
    def count(self) -> int:
        """How many durations are in it."""
        return sum(self.counts.values())

    def add(self, lag_ns: int, times: int = 1) -> None:
        """Count ``lag_ns``, ``times`` over."""
        self.most_ns = max(self.most_ns, lag_ns)
        shift = max(0, lag_ns.bit_length() - _KEPT_BITS)
        bucket = (lag_ns >> shift) << shift if lag_ns > 0 else 0
        self._counts[bucket] = self._counts.get(bucket, 0) + times

    def copy(self) -> Lags:
        """Return them as they stand now."""
        return Lags(self._counts, self.most_ns)

    def merged(self, other: Lags) -> Lags:
        """Return both together."""
        counts = self.counts
        for bucket, times in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + times
        return Lags(counts, max(self.most_ns, other.most_ns))

    def quantile_ns(self, q: float) -> int | None:
        """The smallest duration that a share ``q`` of them does not exceed; None without any."""
        counts = self.counts
        wanted = q * sum(counts.values())
        seen = 0
        for bucket in sorted(counts):
            seen += counts[bucket]
            if seen >= wanted:
                return bucket
        return None
