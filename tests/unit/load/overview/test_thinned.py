from __future__ import annotations

import random
from typing import TYPE_CHECKING

from harness.load.overview import thinned
from harness.load.overview.thinned import Thinned
from harness.statistics import memory_at

if TYPE_CHECKING:
    import pytest


def kept_of(values: list[float]) -> Thinned:
    kept = Thinned()
    for value in values:
        kept.add(value)
    return kept


def test_thinning_keeps_values_from_all_of_a_series_in_bounded_memory() -> None:
    kept = kept_of([float(value) for value in range(100_000)])

    assert kept.seen == 100_000
    assert len(kept.values) <= 8192
    steps = {b - a for a, b in zip(kept.values, kept.values[1:], strict=False)}
    assert steps == {16.0}


def test_what_is_not_thinned_yet_is_worth_what_its_memory_leaves() -> None:
    assert Thinned().correlation(0.5) == 1
    values = [float(number // 10 % 2) for number in range(1000)]
    assert kept_of(values).correlation(0.5) == memory_at(values, 0.5) > 4


def test_a_series_is_worth_no_more_than_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thinned, "_MOST_KEPT", 100)
    source = random.Random(1)
    kept = kept_of([source.random() for _ in range(10_000)])
    assert kept.seen / kept.correlation(0.5) <= len(kept.values) <= 100
