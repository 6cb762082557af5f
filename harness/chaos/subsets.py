"""The order in which subsets of a chain are killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Item = TypeVar("Item")


def gray_subsets(items: Sequence[Item]) -> Iterator[frozenset[Item]]:
    """Every subset once, each differing from the one before by exactly one item.

    The reflected binary Gray code (Gray, US patent 2,632,058): one kill or one revival
    a step, starting with nothing dead. A matrix of n providers thus waits for half as
    many recoveries as it has cells, not for one a provider and cell.
    """
    for number in range(2 ** len(items)):
        code = number ^ (number >> 1)
        yield frozenset(item for bit, item in enumerate(items) if code >> bit & 1)
