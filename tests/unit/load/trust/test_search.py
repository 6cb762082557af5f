from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from harness.load.trust import Safe, remembered, search
from harness.load.trust.search import KEPT_S, here, remember

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("limit", [1, 15, 16, 17, 100, 700, 1023, 1024, 5000])
def test_it_finds_the_limit_within_a_quarter(limit: int) -> None:
    found = search(lambda streams: streams <= limit, rate=50, least=1, most=1024)
    assert found.streams <= limit
    if limit >= 1024:
        assert (found.streams, found.above) == (1024, None)
    else:
        assert found.above is not None
        assert limit < found.above <= max(found.streams + 1, 1.25 * found.streams)


def test_it_may_be_told_to_look_closer() -> None:
    found = search(lambda streams: streams <= 700, rate=50, least=1, most=1024, close=1.02)
    assert found.above is not None
    assert found.streams <= 700 < found.above <= 1.02 * found.streams


def test_not_even_the_least_may_be_right() -> None:
    found = search(lambda _: False, rate=50, least=16, most=64)
    assert (found.streams, found.above) == (0, 16)


def test_one_bad_try_does_not_decide() -> None:
    tries: list[int] = []

    def noisy(streams: int) -> bool:
        tries.append(streams)
        return tries.count(streams) == 2

    assert search(noisy, rate=50, least=16, most=64).streams == 64
    assert tries == [16, 16, 32, 32, 64, 64]


def test_where_it_cannot_be_told_the_search_ends_with_what_is_known() -> None:
    found = search(lambda streams: True if streams < 50 else None, rate=50, least=16, most=256)
    assert (found.streams, found.above) == (32, None)
    known = {16: True, 32: True, 64: False}
    found = search(known.get, rate=50, least=16, most=256)
    assert (found.streams, found.above) == (32, 64)


@pytest.mark.parametrize(("least", "most"), [(0, 5), (9, 8)])
def test_a_range_without_a_level_is_refused(least: int, most: int) -> None:
    with pytest.raises(ValueError, match="nothing to try"):
        search(lambda _: True, rate=50, least=least, most=most)


def test_it_is_remembered_for_its_rate(tmp_path: Path) -> None:
    found = search(lambda streams: streams < 100, rate=50, most=256)
    remember(found, folder=tmp_path)
    assert remembered(50.0, folder=tmp_path) == found
    assert remembered(20.0, folder=tmp_path) is None
    assert "96 streams of 50 tokens/s" in str(found)


@pytest.mark.parametrize(
    "change", [{"inputs": "another machine"}, {"at_unix_s": time.time() - KEPT_S - 1}]
)
def test_what_was_found_elsewhere_or_long_ago_is_not_believed(
    tmp_path: Path, change: dict[str, object]
) -> None:
    known = {"streams": 9, "above": 10, "rate": 50, "at_unix_s": time.time(), "inputs": here()}
    (tmp_path / "safe-streams-50.json").write_text(json.dumps(known))
    assert remembered(50, folder=tmp_path) is not None
    (tmp_path / "safe-streams-50.json").write_text(json.dumps(known | change))
    assert remembered(50, folder=tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"streams": 1}'])
def test_a_broken_file_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "safe-streams-50.json").write_text(text)
    assert remembered(50, folder=tmp_path) is None


def test_where_nothing_can_be_kept_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    known = Safe(streams=1, above=2, rate=50, at_unix_s=0, inputs="")
    remember(known, folder=tmp_path / "file")
    assert remembered(50, folder=tmp_path / "file") is None
