"""The pool of KV blocks: who holds which, and what is found again after it was let go.

Follows vllm/v1/core/block_pool.py (0.32). A block that nobody can find cannot be told from
another, so these are only counted. Free ones without content are reused first, as vLLM does; free
ones with content wait in the order in which they were let go, and the longest free is evicted
first, also if what it holds is of no use to anybody.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Block:
    """A block that is found by its key: in somebody's hands, or free."""

    __slots__ = ("holders", "key")

    def __init__(self, key: int) -> None:
        self.holders = 1
        self.key = key


class Lost:
    """Free blocks, let go together, whose content nobody will look for."""

    __slots__ = ("count",)

    def __init__(self, count: int) -> None:
        self.count = count


class BlockPool:
    """``usable`` blocks: held, free, or free and still findable."""

    __slots__ = ("_free", "_index", "_plain", "_twins", "evictions", "free", "usable")

    def __init__(self, usable: int) -> None:
        self.usable = usable
        self.free = usable
        """Blocks that may be taken."""
        self._plain = usable
        self._free: OrderedDict[Block | Lost, None] = OrderedDict()
        self._index: dict[int, Block] = {}
        self._twins: dict[int, list[Block]] = {}
        self.evictions = 0
        """Blocks whose content was given up for another."""

    @property
    def used(self) -> int:
        """Blocks that somebody holds."""
        return self.usable - self.free

    @property
    def findable(self) -> int:
        """Keys under which a block is found."""
        return len(self._index)

    def take(self, count: int) -> None:
        """Hold ``count`` blocks without a name. The caller has checked `free`."""
        self.free -= count
        if count > self._plain:
            self._evict(count - self._plain)
            self._plain = 0
        else:
            self._plain -= count

    def name(self, key: int) -> Block:
        """Let a block that was taken be found under ``key``, and hold it by that name.

        The first block under a key is the one found.
        """
        block = Block(key)
        if self._index.setdefault(key, block) is not block:
            self._twins.setdefault(key, []).append(block)
        return block

    def find(self, key: int) -> Block | None:
        """The block with this content, held or free."""
        return self._index.get(key)

    def hold(self, blocks: Iterable[Block]) -> None:
        """One more holder for each of ``blocks``, which `find` gave."""
        for block in blocks:
            if block.holders == 0:
                del self._free[block]
                self.free -= 1
            block.holders += 1

    def release(self, blocks: list[Block], *, lost: int = 0, plain: int = 0) -> None:
        """Let go of what one holder has, from the last to the first: heads outlive tails.

        ``plain`` blocks without content and ``lost`` ones with such as nobody will look for,
        which come after ``blocks`` in its text.
        """
        self._plain += plain
        self.free += plain + lost
        if lost:
            self._free[Lost(lost)] = None
        for block in reversed(blocks):
            block.holders -= 1
            if block.holders == 0:
                self._free[block] = None
                self.free += 1

    def forget_all(self) -> bool:
        """Empty the prefix cache (vLLM's ``reset_prefix_cache``); False if a block is held."""
        if self.used:
            return False
        self._plain = self.usable
        self._free.clear()
        self._index.clear()
        self._twins.clear()
        return True

    def _evict(self, count: int) -> None:
        self.evictions += count
        while count:
            first = next(iter(self._free))
            if isinstance(first, Lost) and first.count > count:
                first.count -= count
                return
            del self._free[first]
            if isinstance(first, Lost):
                count -= first.count
            else:
                count -= 1
                self._forget(first)

    def _forget(self, block: Block) -> None:
        key = block.key
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
