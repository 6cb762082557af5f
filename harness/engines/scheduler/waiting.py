"""Who waits, in the order of service: vllm/v1/core/sched/request_queue.py (0.32)."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.engines.scheduler.sequence import Sequence


class ArrivalQueue(deque["Sequence"]):
    """First come, first served; who was preempted comes before all who were never served."""

    def add(self, sequence: Sequence) -> None:
        """At the end."""
        self.append(sequence)

    def peek(self) -> Sequence:
        """Who is next."""
        return self[0]

    def take(self) -> Sequence:
        """Who is next, out of the queue."""
        return self.popleft()

    def put_back(self, sequences: Iterable[Sequence]) -> None:
        """In front, each before the one put back before it."""
        self.extendleft(sequences)


class PriorityQueue:
    """The lowest priority number first, then the first to come, preempted or not."""

    def __init__(self) -> None:
        self._heap: list[Sequence] = []

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, sequence: Sequence) -> None:
        """At its place."""
        heapq.heappush(self._heap, sequence)

    def peek(self) -> Sequence:
        """Who is next."""
        return self._heap[0]

    def take(self) -> Sequence:
        """Who is next, out of the queue."""
        return heapq.heappop(self._heap)

    def put_back(self, sequences: Iterable[Sequence]) -> None:
        """At their places: there is no front."""
        for sequence in sequences:
            heapq.heappush(self._heap, sequence)

    def remove(self, sequence: Sequence) -> None:
        """Out of the queue, wherever it stands."""
        self._heap.remove(sequence)
        heapq.heapify(self._heap)
