"""What requests ask for: lengths that vary, prefixes that are shared, turns that build up.

Everything here is in tokens, and a pure function of a seed and the number of the request: which
process plays it, and how many there are, changes nothing.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lengths:
    """Log-normal lengths around ``median``, within [``least``, ``most``].

    ``spread`` is the standard deviation of the logarithm; 0 makes every length the median.
    Answers of one length finish together and start again together: give them a spread.

    Raises:
        ValueError: the bounds leave no room for the median, or ``spread`` is negative.
    """

    median: int
    spread: float = 0.5
    least: int = 1
    most: int = 1_000_000

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.median <= self.most:
            raise ValueError(
                f"a median of {self.median} tokens between {self.least} and {self.most}: "
                "give 1 <= least <= median <= most"
            )
        if not (self.spread >= 0 and math.isfinite(self.spread)):
            raise ValueError(f"spread is {self.spread}: give 0 or more")

    def draw(self, source: random.Random) -> int:
        """One length."""
        drawn = round(self.median * math.exp(source.gauss(0.0, self.spread)))
        return max(self.least, min(self.most, drawn))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What one request asks for.

    The prompt is ``shared_tokens`` of prefix number ``prefix``, then ``history_tokens`` of the
    conversation's earlier turns with their answers, then ``fresh_tokens`` of its own.
    """

    number: int
    conversation: int
    turn: int
    prefix: int
    shared_tokens: int
    history_tokens: int
    fresh_tokens: int
    answer_tokens: int
    think_s: float
    """How long the user thinks before this turn; 0 before the first."""

    @property
    def prompt_tokens(self) -> int:
        """The whole prompt."""
        return self.shared_tokens + self.history_tokens + self.fresh_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversations:
    """Conversations of ``turns`` turns over ``prefixes`` shared beginnings.

    ``limit`` is the model's context: a conversation that has outgrown it drops its oldest
    history, as a chat front end does. One turn and no shared tokens are independent requests.

    Raises:
        ValueError: a number below its least, or prefix, prompt and answer can exceed ``limit``.
    """

    fresh: Lengths
    answer: Lengths
    turns: int = 1
    prefixes: int = 1
    shared_tokens: int = 0
    think_s: float = 0.0
    limit: int = 4096
    seed: int = 1

    def __post_init__(self) -> None:
        for name, least in (("turns", 1), ("prefixes", 1), ("shared_tokens", 0), ("think_s", 0)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} is {getattr(self, name)}: give at least {least}")
        longest = self.shared_tokens + self.fresh.most + self.answer.most
        if longest > self.limit:
            raise ValueError(
                f"a turn may need {longest} tokens and the model holds {self.limit}: lower "
                "shared_tokens, or `most` of the lengths"
            )

    def asking(self, number: int) -> Asking:
        """What request ``number`` asks for, counted from 0 through conversation after conversation.

        Turn t of a conversation needs the answer of turn t - 1 first: numbers that differ only
        in the turn are one user's and must not be played at once.
        """
        conversation, turn = divmod(number, self.turns)
        source = random.Random(f"{self.seed}/{conversation}")  # noqa: S311 - no cryptography
        prefix = source.randrange(self.prefixes)
        history = 0
        for _ in range(turn):
            history += self.fresh.draw(source) + self.answer.draw(source)
            source.expovariate(1.0)
        fresh, answer = self.fresh.draw(source), self.answer.draw(source)
        thought = source.expovariate(1.0) * self.think_s
        return Asking(
            number=number,
            conversation=conversation,
            turn=turn,
            prefix=prefix,
            shared_tokens=self.shared_tokens,
            history_tokens=min(history, self.limit - self.shared_tokens - fresh - answer),
            fresh_tokens=fresh,
            answer_tokens=answer,
            think_s=thought if turn else 0.0,
        )
