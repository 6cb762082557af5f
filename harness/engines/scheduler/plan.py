"""One step of an engine: who has how many tokens in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.scheduler.sequence import Sequence


class StepPlan:
    """One step: what is computed, and, after `Scheduler.complete`, what came of it."""

    __slots__ = (
        "admitted",
        "chunks",
        "context",
        "disturbed",
        "last",
        "partial",
        "preempted",
        "prefill_pairs",
        "prefill_tokens",
        "sampled",
        "sequences",
        "starved",
    )

    def __init__(self) -> None:
        self.sequences: list[Sequence] = []
        """All that have a token in this step, in order of service."""
        self.chunks: dict[Sequence, int] = {}
        """Tokens of those that have more than one; the others have one."""
        self.partial: set[Sequence] = set()
        """Those whose prompt is not through with this step: no token comes of it."""
        self.admitted: list[Sequence] = []
        """Those that came in with this step, for the first time or again."""
        self.preempted: list[Sequence] = []
        """Those that lost their blocks to this step."""
        self.last: list[Sequence] = []
        """Those that end with this step."""
        self.starved: list[Sequence] = []
        """Those that run and had no place in the budget."""
        self.prefill_tokens = 0
        """Tokens over `chunks`."""
        self.prefill_pairs = 0
        """Pairs of a token in `chunks` and a token it attends to, itself included."""
        self.context = 0
        """Cached tokens that the sequences with one token attend to, in all."""
        self.sampled: list[Sequence] = []
        """Set by `Scheduler.complete`: those that have a new token."""
        self.disturbed = False
        """One of `sequences` was preempted or aborted before the step was complete."""

    @property
    def decodes(self) -> int:
        """Sequences with one token."""
        return len(self.sequences) - len(self.chunks)

    @property
    def tokens(self) -> int:
        """All tokens of the step; 0: there is nothing to compute."""
        return self.prefill_tokens + len(self.sequences) - len(self.chunks)

    def scheduled(self) -> Iterator[tuple[Sequence, int]]:
        """Each sequence with its tokens."""
        chunks = self.chunks
        return ((sequence, chunks.get(sequence, 1)) for sequence in self.sequences)

    def place(self, sequence: Sequence, tokens: int) -> None:
        """Give ``sequence`` its tokens; its blocks are there."""
        computed = sequence.computed
        self.sequences.append(sequence)
        if tokens == 1:
            self.context += computed
        else:
            self.chunks[sequence] = tokens
            self.prefill_tokens += tokens
            self.prefill_pairs += tokens * computed + tokens * (tokens + 1) // 2
        sequence.computed = computed = computed + tokens
        if computed < sequence.goal:
            self.partial.add(sequence)
            return
        sequence.goal = computed + 1
        sequence.edge = min(sequence.room + sequence.slack, sequence.end - 1)
        if sequence.goal == sequence.end:
            self.last.append(sequence)

    def withdraw(self, sequence: Sequence) -> int:
        """Undo `place`; return the tokens it had."""
        self.sequences.remove(sequence)
        tokens = self.chunks.pop(sequence, 1)
        sequence.computed = computed = sequence.computed - tokens
        if tokens == 1:
            self.context -= computed
        else:
            self.prefill_tokens -= tokens
            self.prefill_pairs -= tokens * computed + tokens * (tokens + 1) // 2
        if sequence in self.partial:
            self.partial.remove(sequence)
        else:
            sequence.goal -= 1
            if sequence in self.last:
                self.last.remove(sequence)
        return tokens
