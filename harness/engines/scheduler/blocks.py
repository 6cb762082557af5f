"""The pool of KV blocks: who holds which, and what is found again after it was let go.

Follows vllm/v1/core/block_pool.py (0.32). A block without a key cannot be told from another, so
free ones are only counted: vLLM reuses them first. Free blocks with a key wait in the order in
which they were let go, and the longest free is evicted first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Block:
    """A block in somebody's hands, or free with something to find in it."""

    __slots__ = ("holders", "key")

    def __init__(self) -> None:
        self.holders = 1
        self.key: int | None = None


class BlockPool:
    """``usable`` blocks: held, free, or free and still findable."""

    __slots__ = ("_free", "_index", "_plain", "_twins", "evictions", "usable")

    def __init__(self, usable: int) -> None:
        self.usable = usable
        self._plain = usable
        self._free: OrderedDict[Block, None] = OrderedDict()
        self._index: dict[int, Block] = {}
        self._twins: dict[int, list[Block]] = {}
        self.evictions = 0
        """Blocks whose content was given up for another."""

    @property
    def free(self) -> int:
        """Blocks that may be taken."""
        return self._plain + len(self._free)

    @property
    def used(self) -> int:
        """Blocks that somebody holds."""
        return self.usable - self._plain - len(self._free)

    @property
    def findable(self) -> int:
        """Keys under which a block is found."""
        return len(self._index)

    def take(self, count: int) -> list[Block]:
        """``count`` blocks, one holder each. The caller has checked `free`."""
        evicted = count - self._plain
        if evicted > 0:
            self._plain = 0
            for _ in range(evicted):
                self._forget(self._free.popitem(last=False)[0])
            self.evictions += evicted
        else:
            self._plain -= count
        return [Block() for _ in range(count)]

    def find(self, key: int) -> Block | None:
        """The block with this content, held or free."""
        return self._index.get(key)

    def hold(self, blocks: Iterable[Block]) -> None:
        """One more holder for each of ``blocks``, which `find` gave."""
        for block in blocks:
            if block.holders == 0:
                del self._free[block]
            block.holders += 1

    def publish(self, block: Block, key: int) -> None:
        """Let ``block`` be found under ``key``; the first block under a key is the one found."""
        block.key = key
        if self._index.setdefault(key, block) is not block:
            self._twins.setdefault(key, []).append(block)

    def release(self, blocks: list[Block]) -> None:
        """One holder less for each, from the last to the first, so that heads outlive tails."""
        for block in reversed(blocks):
            block.holders -= 1
            if block.holders == 0:
                if block.key is None:
                    self._plain += 1
                else:
                    self._free[block] = None

    def forget_all(self) -> bool:
        """Empty the prefix cache (vLLM's ``reset_prefix_cache``); False if a block is held."""
        if self.used:
            return False
        self._plain = self.usable
        self._free.clear()
        self._index.clear()
        self._twins.clear()
        return True

    def _forget(self, block: Block) -> None:
        key = block.key
        if key is None:
            return
        twins = self._twins.get(key)
        if twins is None:
            del self._index[key]
            return
        if self._index[key] is block:
            self._index[key] = twins.pop(0)
        else:
            twins.remove(block)
        if not twins:
            del self._twins[key]
