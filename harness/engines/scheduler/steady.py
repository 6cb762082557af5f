"""Sequences that get a token with every step: counted together, looked at when one needs more.

In a step of a full batch nearly all do the same: one token more, no new block, no end. What they
have and what they attend to follows from the number of steps, so a step costs what happens in it
and not what it holds.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from harness.engines.scheduler.sequence import NOT_STEADY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.engines.scheduler.sequence import Sequence

_ORDER = attrgetter("order")


class Steady:
    """Who is steady, and from which step on no more."""

    __slots__ = ("_due", "context", "count", "step")

    def __init__(self) -> None:
        self.step = 0
        """Number of the step that was planned last."""
        self.count = 0
        self.context = 0
        """Tokens that they attend to in the step after it, in all."""
        self._due: dict[int, list[Sequence]] = {}

    def join(self, sequence: Sequence) -> None:
        """Count ``sequence``, all of whose tokens but one are computed, in from the next step."""
        sequence.since = self.step
        sequence.due = due = self.step + 1 + max(0, sequence.edge - sequence.goal)
        self._due.setdefault(due, []).append(sequence)
        self.count += 1
        self.context += sequence.computed

    def leave(self, sequence: Sequence) -> None:
        """Take ``sequence`` out between two steps, or when it is due; it is up to date again."""
        if sequence.due == NOT_STEADY:
            return
        passed = self.step - sequence.since
        sequence.computed += passed
        sequence.goal += passed
        sequence.due = NOT_STEADY
        self.count -= 1
        self.context -= sequence.computed

    def due(self) -> list[Sequence]:
        """Who has to be looked at in the step after this one, in order of service."""
        following = self.step + 1
        found = self._due.get(following)
        if not found:
            return []
        # One that left meanwhile, and perhaps joined again, is due at another time or never.
        found = [each for each in dict.fromkeys(found) if each.due == following]
        found.sort(key=_ORDER)
        return found

    def lack(self, due: Iterable[Sequence]) -> int:
        """Blocks that ``due`` need for the token of that step."""
        step = self.step
        return sum(each.goal + step - each.since > each.room for each in due)

    def advance(self) -> None:
        """Plan the next step: each has a token more. Those that are due have left before."""
        self.context += self.count
        self.step += 1
        self._due.pop(self.step, None)

    def clear(self, running: Iterable[Sequence]) -> None:
        """Nobody is steady; ``running`` are up to date again."""
        for sequence in running:
            self.leave(sequence)
        self._due.clear()
