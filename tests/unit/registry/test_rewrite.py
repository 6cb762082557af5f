from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.registry import Finding, Severity
from harness.registry.fixes import Mended, read_texts
from harness.registry.rewrite import FixError, apply, preview

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.registry.fixes import Check


def mended(directory: Path, **files: tuple[str, str]) -> Mended:
    """Files on disk, each with its text before and after."""
    before, after = {}, {}
    for name, (old, new) in files.items():
        path = directory / name
        path.write_bytes(old.encode())
        before[str(path)], after[str(path)] = old, new
    return change(before, after)


def change(
    before: Mapping[str, str], after: Mapping[str, str], check: Check = lambda _: []
) -> Mended:
    return Mended(before, after, (), (), (), check)


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(directory.iterdir())}


def error(file: str) -> Finding:
    return Finding(
        rule="GW101", severity=Severity.ERROR, file=file, line=1, column=1, message="m", remedy="r"
    )


def test_every_file_gets_its_new_text(tmp_path: Path) -> None:
    made = mended(tmp_path, a=("1\r\n", "2\r\n"), b=("1", "1"), c=("\ufeffx", "x"))
    assert apply(made) == [tmp_path / "a", tmp_path / "c"]
    assert (tmp_path / "a").read_bytes() == b"2\r\n"
    assert contents(tmp_path) == {"a": "2\n", "b": "1", "c": "x"}


def test_permissions_and_links_are_kept(tmp_path: Path) -> None:
    made = mended(tmp_path, a=("1", "2"))
    (tmp_path / "a").chmod(0o640)
    (tmp_path / "link").symlink_to("a")
    linked = str(tmp_path / "link")
    apply(change({linked: "1"}, {linked: "2"}))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").read_text() == "2"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert made.changed


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    made = mended(tmp_path, a=("1", "2"), b=("1", "2"))
    (tmp_path / "b").write_text("mine")
    with pytest.raises(FixError, match="b has changed since"):
        apply(made)
    assert contents(tmp_path) == {"a": "1", "b": "mine"}


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_all_files_or_none(tmp_path: Path, failing: int) -> None:
    made = mended(tmp_path, a=("1", "2"), b=("1", "2"), c=("1", "2"))
    calls: list[Path] = []

    def fails(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == failing + 1:
            raise PermissionError(13, "Permission denied", str(target))
        os.replace(source, target)  # noqa: PTH105

    with pytest.raises(FixError, match=r"Permission denied.*Every file is as it was"):
        apply(made, replace=fails)
    assert contents(tmp_path) == {"a": "1", "b": "1", "c": "1"}
    assert len(calls) == failing + 1


def test_an_interruption_leaves_everything_as_it_was(tmp_path: Path) -> None:
    made = mended(tmp_path, a=("1", "2"))

    def interrupted(*_: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(made, replace=interrupted)
    assert contents(tmp_path) == {"a": "1"}


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    made = mended(tmp_path, a=("1", "2"))
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(FixError, match="could not be written"):
            apply(made)
    finally:
        tmp_path.chmod(0o700)


def test_a_new_error_on_disk_puts_everything_back(tmp_path: Path) -> None:
    made = mended(tmp_path, a=("1", "2"), b=("1", "2"))

    def check(texts: Mapping[str, str]) -> list[Finding]:
        assert set(texts.values()) == {"2"}
        return [error(str(tmp_path / "a"))]

    with pytest.raises(FixError, match=r"put back\. .*GW101"):
        apply(replace(made, check=check))
    assert contents(tmp_path) == {"a": "1", "b": "1"}


def test_an_error_that_was_expected_does_not(tmp_path: Path) -> None:
    made = mended(tmp_path, a=("1", "2"))
    known = error(str(tmp_path / "a"))
    apply(replace(made, left=(known,), check=lambda _: [known]))
    assert contents(tmp_path) == {"a": "2"}


def test_a_text_that_is_not_the_one_written_is_told(tmp_path: Path) -> None:
    made = mended(tmp_path, a=("1", "2"))

    def meddling(source: Path, target: Path) -> None:
        source.write_text("other")
        os.replace(source, target)  # noqa: PTH105

    with pytest.raises(FixError, match="Somebody else"):
        apply(made, replace=meddling)
    assert contents(tmp_path) == {"a": "1"}


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    apply(mended(tmp_path, a=("1", "2")))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_preview_is_a_unified_diff() -> None:
    made = change({"a": "x\none\ny\n", "b": "same"}, {"a": "x\ntwo\ny\n", "b": "same"})
    assert preview(made).splitlines() == [
        *("--- a/a", "+++ b/a", "@@ -1,3 +1,3 @@", " x", "-one", "+two", " y"),
    ]


def test_without_a_change_there_is_no_preview() -> None:
    assert preview(change({"a": "x"}, {"a": "x"})) == ""


def test_a_secret_near_a_change_is_not_shown() -> None:
    made = change({"a": "api_key: hunter2\nx: 1"}, {"a": "api_key: hunter2\nx: 2"})
    assert "api_key: *******" in preview(made)
    assert "hunter2" not in preview(made)


def test_what_does_not_show_is_spelt_out() -> None:
    made = change({"a": "\ufeffx\r\n\x1b"}, {"a": "x\n\x1b"})
    assert preview(made).splitlines()[3:6] == [r"-\ufeffx\r", "+x", r" \x1b"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    before=st.text(st.sampled_from("ab\t-+ \n"), max_size=40),
    after=st.text(st.sampled_from("ab\t-+ \n"), max_size=40),
)
def test_a_preview_of_plain_text_is_a_patch(tmp_path: Path, before: str, after: str) -> None:
    if before == after:
        return
    path = tmp_path / "f"
    path.write_text(before)
    diff = preview(change({"f": before}, {"f": after}))
    done = subprocess.run(
        ["git", "apply", "--unsafe-paths", "--whitespace=nowarn", "-"],
        input=diff.encode(),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    if b"new file" in done.stderr or not before or not after:
        return  # an empty file is written another way
    assert done.returncode == 0, done.stderr
    assert path.read_text() == after


@given(st.binary(max_size=50))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_that_are_no_text_survive_a_change(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" + data)
    texts = read_texts([path])
    after = {file: "y" + text[1:] for file, text in texts.items()}
    apply(change(texts, after))
    assert path.read_bytes() == b"y" + data
