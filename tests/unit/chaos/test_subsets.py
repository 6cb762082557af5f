from __future__ import annotations

from itertools import pairwise

import pytest

from harness.chaos.subsets import gray_subsets


@pytest.mark.parametrize("size", range(6))
def test_every_subset_comes_once_and_steps_change_one_item(size: int) -> None:
    found = list(gray_subsets(range(size)))
    assert len(set(found)) == len(found) == 2**size
    assert found[0] == frozenset()
    assert all(len(before ^ after) == 1 for before, after in pairwise(found))
