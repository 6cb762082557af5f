from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.report import ReportError, page, write_all
from harness.report.write import point

if TYPE_CHECKING:
    Example = Any

NAMES = ["index.html", "junit.xml", "summary.md", "verdict.json"]


def write(directory: Path, example: Example) -> list[Path]:
    return write_all(directory, example.run, example.evidence, example.report)


def test_every_format_is_written_beside_the_evidence(tmp_path: Path, red: Example) -> None:
    written = write(tmp_path / "one", red)

    assert [path.name for path in written] == NAMES
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == NAMES
    assert written[0].read_text(encoding="utf-8") == page(red.run, red.evidence, red.report)


def test_the_verdict_is_there_for_machines(tmp_path: Path, red: Example) -> None:
    data = json.loads(write(tmp_path / "one", red)[3].read_text(encoding="utf-8"))

    assert (data["verdict"], data["exit_code"]) == ("fail", 1)
    assert data["run"]["engine"] == "emulated"
    rows = {row["id"]: row for row in data["rows"]}
    assert rows["fallback"]["counts"] == {
        "pass": 17,
        "fail": 1,
        "known": 0,
        "inconclusive": 0,
        "not_run": 0,
    }
    assert rows["fallback"]["reasons"][0]["check"] == "fallback.kill-matrix"


def test_latest_leads_to_the_last_run(tmp_path: Path, red: Example, green: Example) -> None:
    write(tmp_path / "one", red)
    write(tmp_path / "two", green)

    latest = tmp_path / "latest"
    assert latest.readlink() == Path("two")
    assert json.loads((latest / "verdict.json").read_text())["verdict"] == "pass"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "one", "two"]


def no_links(_target: str, _path: Path) -> None:
    raise OSError(1, "Operation not permitted")


def test_latest_is_a_copy_where_there_are_no_links(
    tmp_path: Path, red: Example, green: Example
) -> None:
    write(tmp_path / "one", red)
    latest = point(tmp_path / "one", link=no_links)
    write(tmp_path / "two", green)
    point(tmp_path / "two", link=no_links)

    assert not latest.is_symlink()
    assert json.loads((latest / "verdict.json").read_text())["verdict"] == "pass"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "one", "two"]


def test_a_copy_gives_way_to_a_link(tmp_path: Path, red: Example) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "index.html").write_text("old")
    write(tmp_path / "one", red)

    assert (tmp_path / "latest").is_symlink()


def test_a_run_that_is_called_latest_needs_no_link(tmp_path: Path, red: Example) -> None:
    write(tmp_path / "latest", red)

    assert sorted(path.name for path in (tmp_path / "latest").iterdir()) == NAMES
    assert not (tmp_path / "latest").is_symlink()


def test_what_cannot_be_written_names_the_file_and_leaves_the_rest(
    tmp_path: Path, red: Example
) -> None:
    (tmp_path / "one" / "junit.xml").mkdir(parents=True)

    with pytest.raises(ReportError, match=r"harness report .*one`; the evidence is kept"):
        write(tmp_path / "one", red)

    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["index.html", "junit.xml"]
    assert not (tmp_path / "latest").exists()


def test_a_path_with_spaces_is_no_trouble(tmp_path: Path, red: Example) -> None:
    assert write(tmp_path / "my reports" / "one", red)[0].exists()
