from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.gateway import files

if TYPE_CHECKING:
    from pathlib import Path

GENERATED = {"one.yaml": "# header\nkey: 1\nother: 2\n", "two.env": "A=1\n"}


def test_what_was_written_does_not_drift(tmp_path: Path) -> None:
    files.write(tmp_path, GENERATED)
    assert files.drift(tmp_path, GENERATED) == []


def test_writing_again_changes_nothing_and_says_so(tmp_path: Path) -> None:
    assert len(files.write(tmp_path, GENERATED)) == 2
    assert files.write(tmp_path, GENERATED) == []


def test_a_hand_edit_is_found_at_its_line_with_both_sides(tmp_path: Path) -> None:
    files.write(tmp_path, GENERATED)
    (tmp_path / "one.yaml").write_text("# header\nkey: 7\nother: 2\n")
    (finding,) = files.drift(tmp_path, GENERATED)
    assert (finding.rule, finding.line) == (files.DRIFT, 2)
    assert "'key: 7'" in finding.message
    assert "'key: 1'" in finding.message
    assert "harness generate" in finding.remedy


@pytest.mark.parametrize(
    ("text", "line"),
    [("# header\nkey: 1\n", 3), ("# header\nkey: 1\nother: 2\nmore: 3\n", 4), ("", 1)],
)
def test_missing_and_added_lines_are_found_too(tmp_path: Path, text: str, line: int) -> None:
    files.write(tmp_path, GENERATED)
    (tmp_path / "one.yaml").write_text(text)
    (finding,) = files.drift(tmp_path, GENERATED)
    assert finding.line == line


def test_a_changed_line_ending_is_drift(tmp_path: Path) -> None:
    files.write(tmp_path, GENERATED)
    (tmp_path / "two.env").write_bytes(b"A=1\r\n")
    (finding,) = files.drift(tmp_path, GENERATED)
    assert finding.file.endswith("two.env")


def test_a_file_never_generated_is_named(tmp_path: Path) -> None:
    assert {finding.rule for finding in files.drift(tmp_path, GENERATED)} == {files.MISSING}


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(OSError, match="file"):
        files.write(blocker / "inside", GENERATED)
    assert list(tmp_path.iterdir()) == [blocker]
