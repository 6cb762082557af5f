"""One request as the scheduler sees it: counts of tokens, and keys of what they hold."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Sequence as Items

    from harness.engines.scheduler.blocks import Block

NOT_STEADY = -1
"""`Sequence.due` of one that is looked at in every step."""


class Sequence:
    """A prompt of ``prompt`` tokens and an answer that ends after ``length`` tokens.

    ``keys`` names the content of its full blocks from the first on (see `chain_keys`); two
    sequences that begin with equal keys share these blocks. Blocks past ``keys`` are its own, and
    only itself finds them again after a preemption. A lower ``priority`` goes first. Subclass it
    to hang something on it: the scheduler hands the same object back.
    """

    __slots__ = (
        "_keys",
        "blocks",
        "cached",
        "computed",
        "due",
        "edge",
        "end",
        "finished",
        "goal",
        "hit_tokens",
        "nameless",
        "number",
        "order",
        "preemptions",
        "priority",
        "prompt",
        "published",
        "room",
        "running",
        "since",
        "slack",
        "stale",
    )

    def __init__(
        self, prompt: int, length: int, *, keys: Items[int] = (), priority: int = 0
    ) -> None:
        self.prompt, self.priority, self._keys = prompt, priority, keys
        self.end = prompt + length
        """Tokens when it is over; `Scheduler.add` lowers it to the longest the model allows."""
        self.number = 0
        """Place in the order of arrival, given by `Scheduler.add`."""
        self.computed = 0
        """Tokens whose keys and values are in the cache, those of a planned step included.

        It and `goal` are as of the step `since` while the scheduler counts the sequence among
        those that get a token with every step (`steady.Steady`).
        """
        self.goal = prompt
        """Tokens there are to compute: the prompt and the answer, a token in flight included."""
        self.order = 0
        """Place in the order of service, given when it is admitted."""
        self.since = 0
        self.due = NOT_STEADY
        """The step in which it has to be looked at again."""
        self.edge = 0
        """While `goal` is below, its next step is one token, without a new block or an end."""
        self.slack = 0
        """1 if nothing is to be done when a block is full: nobody but itself can find it."""
        self.blocks: list[Block] = []
        """Those it begins with that can be found."""
        self.nameless = 0
        """Blocks after these."""
        self.room = 0
        """Tokens that all its blocks hold."""
        self.published = 0
        """Leading blocks that are known to be full. Those that no other sequence could begin with
        get a name when they are let go, if it comes back for them."""
        self.cached = -1
        """Prompt tokens found in the cache when it was first admitted; -1 before."""
        self.hit_tokens = 0
        """Tokens found in the cache, each time it was admitted."""
        self.preemptions = 0
        self.stale = 0
        """Steps in flight that were planned before it was preempted."""
        self.running = self.finished = False

    @property
    def length(self) -> int:
        """Tokens of the whole answer."""
        return self.end - self.prompt

    @property
    def planned(self) -> int:
        """Tokens of the answer so far, those in flight included."""
        return self.goal - self.prompt

    @property
    def shared(self) -> int:
        """Leading blocks that another sequence could begin with."""
        return len(self._keys)

    def key(self, index: int) -> int:
        """What block number ``index`` holds."""
        if index < len(self._keys):
            return self._keys[index]
        return -((self.number << 32) + index + 1)

    def __lt__(self, other: Sequence) -> bool:
        """Order of service under the priority policy: its number, then who came first."""
        return (self.priority, self.number) < (other.priority, other.number)

    def __repr__(self) -> str:
        return (
            f"<sequence {self.number}: {self.prompt}+{self.planned} of {self.length} tokens, "
            f"{self.computed} computed, {self.preemptions} preemptions>"
        )


def chain_keys(tokens: Iterable[object], block_size: int) -> tuple[int, ...]:
    """Keys of the full blocks of a text: each covers its block and all before it.

    The idea of vLLM's ``hash_block_tokens``: equal keys mean equal text from the beginning. The
    keys are the same in every process (BLAKE2b of the words, 62 bits, never negative).
    """
    keys: list[int] = []
    block: list[str] = []
    parent = b""
    for token in tokens:
        block.append(str(token))
        if len(block) == block_size:
            parent = hashlib.blake2b("\0".join(block).encode(), digest_size=8, key=parent).digest()
            keys.append(int.from_bytes(parent, "big") >> 2)
            block.clear()
    return tuple(keys)
