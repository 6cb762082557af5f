from __future__ import annotations

from harness.engines.scheduler.blocks import BlockPool


def test_plain_blocks_go_before_any_that_can_be_found() -> None:
    pool = BlockPool(4)
    named, plain = pool.take(1), pool.take(1)
    pool.publish(named[0], 7)
    pool.release(named)
    pool.release(plain)
    pool.take(3)
    assert (pool.find(7), pool.evictions) == (named[0], 0)
    pool.take(1)
    assert (pool.find(7), pool.evictions, pool.free) == (None, 1, 0)


def test_the_longest_free_is_evicted_first_and_tails_before_heads() -> None:
    pool = BlockPool(4)
    first, second = pool.take(2), pool.take(2)
    for key, block in enumerate([*first, *second]):
        pool.publish(block, key)
    pool.release(first)
    pool.release(second)
    pool.take(3)
    assert [pool.find(key) is not None for key in range(4)] == [False, False, True, False]


def test_a_found_block_has_two_holders_and_stays_until_both_are_gone() -> None:
    pool = BlockPool(2)
    (block,) = taken = pool.take(1)
    pool.publish(block, 1)
    pool.hold([block])
    pool.release(taken)
    assert (pool.used, pool.free) == (1, 1)
    pool.release([block])
    assert (pool.used, pool.free) == (0, 2)
    pool.hold([block])  # free, but still there
    assert (pool.used, pool.find(1)) == (1, block)


def test_twins_are_found_one_after_the_other() -> None:
    pool = BlockPool(2)
    one, other = pool.take(2)
    pool.publish(one, 5)
    pool.publish(other, 5)
    pool.release([one])
    assert pool.find(5) is one
    pool.take(1)
    assert pool.find(5) is other
    pool.release([other])
    pool.take(1)
    assert (pool.find(5), pool.findable) == (None, 0)


def test_it_forgets_all_only_when_nobody_holds_any() -> None:
    pool = BlockPool(2)
    taken = pool.take(1)
    pool.publish(taken[0], 1)
    assert not pool.forget_all()
    pool.release(taken)
    assert pool.forget_all()
    assert (pool.find(1), pool.free) == (None, 2)
