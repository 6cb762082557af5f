from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.scheduler.blocks import BlockPool

if TYPE_CHECKING:
    from harness.engines.scheduler.blocks import Block


def named(pool: BlockPool, *keys: int) -> list[Block]:
    """Blocks taken and found from then on under ``keys``."""
    pool.take(len(keys))
    return [pool.name(key) for key in keys]


def test_plain_blocks_go_before_any_that_can_be_found() -> None:
    pool = BlockPool(4)
    found = named(pool, 7)
    pool.take(1)
    pool.release(found)
    pool.release([], plain=1)
    pool.take(3)
    assert (pool.find(7), pool.evictions) == (found[0], 0)
    pool.take(1)
    assert (pool.find(7), pool.evictions, pool.free) == (None, 1, 0)


def test_the_longest_free_is_evicted_first_and_tails_before_heads() -> None:
    pool = BlockPool(4)
    first, second = named(pool, 0, 1), named(pool, 2, 3)
    pool.release(first)
    pool.release(second)
    pool.take(3)
    assert [pool.find(key) is not None for key in range(4)] == [False, False, True, False]


def test_what_nobody_looks_for_waits_its_turn_all_the_same() -> None:
    pool = BlockPool(6)
    head, later = named(pool, 1), named(pool, 2)
    pool.take(3)
    pool.release(head, lost=3)  # its tail of three goes first
    pool.release(later)
    assert (pool.free, pool.used) == (6, 0)
    pool.take(3)
    assert (pool.evictions, pool.free) == (2, 3)
    assert pool.find(1) is head[0]
    pool.take(2)
    assert (pool.find(1), pool.find(2), pool.evictions) == (None, later[0], 4)


def test_a_found_block_has_two_holders_and_stays_until_both_are_gone() -> None:
    pool = BlockPool(2)
    (block,) = taken = named(pool, 1)
    pool.hold([block])
    pool.release(taken)
    assert (pool.used, pool.free) == (1, 1)
    pool.release([block])
    assert (pool.used, pool.free) == (0, 2)
    pool.hold([block])  # free, but still there
    assert (pool.used, pool.find(1)) == (1, block)


def test_twins_are_found_one_after_the_other() -> None:
    pool = BlockPool(2)
    one, other = named(pool, 5, 5)
    pool.release([one])
    assert pool.find(5) is one
    pool.take(1)
    assert pool.find(5) is other
    pool.release([other])
    pool.take(1)
    assert (pool.find(5), pool.findable) == (None, 0)


def test_it_forgets_all_only_when_nobody_holds_any() -> None:
    pool = BlockPool(2)
    taken = named(pool, 1)
    assert not pool.forget_all()
    pool.release(taken)
    assert pool.forget_all()
    assert (pool.find(1), pool.free) == (None, 2)
