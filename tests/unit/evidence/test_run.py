from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from harness.evidence import EvidenceError, RunContext, read_run, write_run

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 11, 21, 0, 58, 45, tzinfo=UTC)


def run(**facts: object) -> RunContext:
    return RunContext.model_validate(
        {
            "id": "20261121T005845Z-7",
            "command": "harness run --seed 7",
            "started": START,
            "seed": 7,
            "engine": "emulated",
            "versions": {"litellm": "1.106.2"},
            "config_hash": "sha256:4f1c",
            **facts,
        }
    )


def test_the_facts_are_read_back(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", run())

    assert path.name == "run.json"
    assert read_run(tmp_path / "run") == run()


def test_a_run_that_never_said_it_ended_was_interrupted(tmp_path: Path) -> None:
    write_run(tmp_path, run())

    assert read_run(tmp_path).interrupted
    assert read_run(tmp_path).seconds is None


def test_a_run_that_ended_is_complete_and_knows_how_long_it_took() -> None:
    ended = run().ended(interrupted=False, at=START + timedelta(seconds=41.5))

    assert not ended.interrupted
    assert ended.seconds == 41.5


def test_an_interrupted_run_says_so_and_when() -> None:
    ended = run().ended(interrupted=True, at=START + timedelta(seconds=3), trouble="disk full")

    assert ended.interrupted
    assert ended.trouble == "disk full"
    assert ended.seconds == 3


def test_writing_again_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_run(tmp_path, run())
    write_run(tmp_path, run(status="complete"))

    assert read_run(tmp_path).status == "complete"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_directory_without_a_run_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"run\.json: cannot be read .* directory of a run"):
        read_run(tmp_path)


def test_an_edited_file_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path, run()).write_text('{"id": "x"}')
    with pytest.raises(EvidenceError, match="command: Field required"):
        read_run(tmp_path)


def test_a_file_in_the_way_of_the_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(EvidenceError, match="could not be written"):
        write_run(tmp_path / "run", run())


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone"):
        run(started="2026-11-21T00:58:45")
