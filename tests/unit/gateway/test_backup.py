from __future__ import annotations

import json
import multiprocessing
import os
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from harness.gateway import backup, files
from harness.gateway.backup import StoreError
from harness.gateway.litellm_config import CONFIG_FILE, ENV_FILE, compile_files
from harness.gateway.retention import keep

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.registry import Registry

NOW = datetime(2026, 11, 21, 12, 30, 5, 42, tzinfo=UTC)
FORK = multiprocessing.get_context("fork")
BOTH = (CONFIG_FILE, ENV_FILE)


def generation(number: int) -> dict[str, str]:
    """Two files that say which generation they are of, the first one LiteLLM could read."""
    text = f"# sources-sha256: {number:064x}\nmodel_list: []\nnumber: {number}\n"
    return {CONFIG_FILE: text, ENV_FILE: f"NUMBER={number}\n"}


def state(directory: Path) -> dict[str, str | None]:
    return {
        name: (directory / name).read_text() if (directory / name).exists() else None
        for name in BOTH
    }


def minutes(number: int) -> datetime:
    return NOW + timedelta(minutes=number)


def grown(directory: Path, generations: int) -> None:
    for number in range(generations):
        backup.replace(directory, generation(number), now=minutes(number))


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder in its second generation, with a backup of the first."""
    grown(tmp_path, 2)
    return tmp_path


def test_the_first_generation_has_nothing_to_back_up(tmp_path: Path) -> None:
    done = backup.replace(tmp_path, generation(0), now=NOW)
    assert done.backup is None
    assert [path.name for path in done.written] == list(BOTH)
    assert state(tmp_path) == generation(0)
    assert backup.list_backups(tmp_path) == []


def test_the_old_generation_is_kept_before_it_is_overwritten(two: Path) -> None:
    (kept,) = backup.list_backups(two)
    assert kept.name == "20261121T123105.000042Z"
    assert kept.made == minutes(1)
    assert kept.sources == f"{0:064x}"
    assert {name: (kept.path / name).read_text() for name in BOTH} == generation(0)
    assert backup.verify(kept) == []


def test_where_nothing_would_change_nothing_is_written_or_kept(two: Path) -> None:
    done = backup.replace(two, generation(1), now=minutes(2))
    assert done == backup.Replaced()
    assert len(backup.list_backups(two)) == 1


def test_only_what_changed_is_rewritten_but_the_backup_is_whole(two: Path) -> None:
    done = backup.replace(two, {**generation(1), ENV_FILE: "NUMBER=2\n"}, now=minutes(2))
    assert [path.name for path in done.written] == [ENV_FILE]
    assert done.backup is not None
    assert set(done.backup.files) == set(BOTH)


def test_a_hand_edit_is_kept_too(two: Path) -> None:
    (two / ENV_FILE).write_text("MINE=1\n")
    done = backup.replace(two, generation(2), now=minutes(2))
    assert done.backup is not None
    assert (done.backup.path / ENV_FILE).read_text() == "MINE=1\n"


def test_the_same_state_is_not_kept_twice(two: Path) -> None:
    assert backup.backup(two, BOTH, now=minutes(2)) is not None
    assert backup.backup(two, BOTH, now=minutes(3)) is None


def test_two_backups_of_one_instant_both_stay(two: Path) -> None:
    backup.replace(two, generation(2), now=minutes(1))
    first, second = backup.list_backups(two)
    assert first.made - second.made == timedelta(microseconds=1)


def test_a_restore_brings_back_every_byte_and_can_itself_be_undone(two: Path) -> None:
    (kept,) = backup.list_backups(two)
    done = backup.restore(two, kept, now=minutes(5))
    assert state(two) == generation(0)
    assert done.backup is not None
    backup.restore(two, done.backup, now=minutes(6))
    assert state(two) == generation(1)


def test_a_file_that_did_not_exist_then_is_removed_by_a_restore(tmp_path: Path) -> None:
    files.write(tmp_path, {CONFIG_FILE: generation(0)[CONFIG_FILE]})
    backup.replace(tmp_path, generation(1), now=NOW)
    (kept,) = backup.list_backups(tmp_path)
    backup.restore(tmp_path, kept, now=minutes(1))
    assert state(tmp_path) == {CONFIG_FILE: generation(0)[CONFIG_FILE], ENV_FILE: None}


def test_restoring_what_is_there_does_nothing(two: Path) -> None:
    made = backup.backup(two, BOTH, now=minutes(2))
    assert made is not None
    assert backup.restore(two, made, now=minutes(3)) == backup.Replaced()


def test_old_backups_go_as_retention_says(tmp_path: Path) -> None:
    stamps = [NOW + timedelta(hours=5 * number) for number in range(60)]
    for number, stamp in enumerate(stamps):
        backup.replace(tmp_path, generation(number), now=stamp)
    made = [one.made for one in backup.list_backups(tmp_path)]
    assert set(made) == keep(stamps[1:], now=stamps[-1])
    assert made == sorted(made, reverse=True)


def test_the_backup_being_restored_is_not_pruned_by_its_own_restore(tmp_path: Path) -> None:
    grown(tmp_path, 12)
    oldest = backup.list_backups(tmp_path)[-1]
    backup.restore(tmp_path, oldest, now=minutes(30))
    assert oldest.path.is_dir()


def test_a_clock_that_went_back_loses_neither_the_new_nor_the_old_ones(tmp_path: Path) -> None:
    grown(tmp_path, 11)
    there = {one.name for one in backup.list_backups(tmp_path)}
    done = backup.replace(tmp_path, generation(99), now=NOW - timedelta(days=9000))
    assert done.backup is not None
    assert {one.name for one in backup.list_backups(tmp_path)} == there | {done.backup.name}


def test_backups_of_a_clock_that_ran_ahead_crowd_out_nothing(tmp_path: Path) -> None:
    for number in range(12):
        backup.replace(tmp_path, generation(number), now=minutes(number) + timedelta(days=9000))
    for number in range(100, 110):
        backup.replace(tmp_path, generation(number), now=minutes(number))
    made = {one.made for one in backup.list_backups(tmp_path)}
    assert {minutes(number) for number in range(100, 110)} <= made


def test_a_time_without_a_zone_is_refused_before_anything_happens(two: Path) -> None:
    with pytest.raises(ValueError, match="time zone"):
        backup.replace(two, generation(2), now=NOW.replace(tzinfo=None))
    assert state(two) == generation(1)


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "manifest.json\n"])
def test_only_plain_names_are_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        backup.backup(tmp_path, [name], now=NOW)


class Stop:
    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self.at, self.act, self.seen = at, act, 0

    def __call__(self, _: str) -> None:
        self.seen += 1
        if self.seen == self.at:
            self.act()


def full() -> None:
    raise OSError(28, "No space left on device")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


STEPS = 15
"""How often replacing two files touches the disk; the next test holds the number."""


def test_the_steps_are_all_known(two: Path) -> None:
    counted = Stop(0, full)
    backup.replace(two, generation(2), now=minutes(2), step=counted)
    assert counted.seen == STEPS


@pytest.mark.parametrize("at", range(1, STEPS))
def test_a_full_disk_at_any_step_of_a_generation_changes_nothing(two: Path, at: int) -> None:
    with pytest.raises(StoreError, match=r"nothing was replaced.*disk is full"):
        backup.replace(two, generation(2), now=minutes(2), step=Stop(at, full))
    assert state(two) == generation(1)
    assert all(backup.verify(one) == [] for one in backup.list_backups(two))


@pytest.mark.parametrize("at", range(1, STEPS))
def test_a_full_disk_at_any_step_of_a_restore_changes_nothing(two: Path, at: int) -> None:
    (kept,) = backup.list_backups(two)
    with pytest.raises(StoreError, match="nothing was replaced"):
        backup.restore(two, kept, now=minutes(2), step=Stop(at, full))
    assert state(two) == generation(1)
    assert kept in backup.list_backups(two)


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_killed_at_any_step_of_a_restore_the_next_command_finds_old_or_new(
    two: Path, at: int
) -> None:
    (kept,) = backup.list_backups(two)

    def restore() -> None:
        backup.restore(two, kept, now=minutes(2), step=Stop(at, die))

    child = FORK.Process(target=restore)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    backup.backup(two, BOTH, now=minutes(3))
    assert state(two) in (generation(0), generation(1))
    there = backup.list_backups(two)
    assert kept in there
    assert all(backup.verify(one) == [] for one in there)


def test_processes_that_generate_at_once_never_mix_and_lose_no_generation(
    tmp_path: Path,
) -> None:
    def many(first: int) -> None:
        for number in range(first, first + 5):
            backup.replace(tmp_path, generation(number), now=minutes(number))

    children = [FORK.Process(target=many, args=(first,)) for first in (0, 100, 200)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert state(tmp_path) in [generation(number) for number in (4, 104, 204)]
    there = backup.list_backups(tmp_path)
    assert len(there) >= 10
    assert all(backup.verify(one) == [] for one in there)


def only(directory: Path) -> backup.Backup:
    (one,) = backup.list_backups(directory)
    return one


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (b"{", "damaged"),
        (b"\xff", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"[]", "not of format 1"),
        (b'{"format": 2, "files": {}}', "not of format 1"),
        (b'{"format": 1, "files": {}}', "lists no files"),
        (b'{"format": 1, "files": {"../x": null}}', "no plain file name"),
        (b'{"format": 1, "files": {"x": 7}}', "hash of x"),
    ],
)
def test_a_damaged_manifest_is_told_and_neither_restored_nor_lost(
    two: Path, manifest: bytes, problem: str
) -> None:
    (only(two).path / "manifest.json").write_bytes(manifest)
    broken = only(two)
    assert problem in (broken.problem or "")
    (finding,) = backup.verify(broken)
    assert finding.rule == backup.UNREADABLE
    with pytest.raises(StoreError, match=r"Nothing was restored.*harness backup list"):
        backup.restore(two, broken, now=minutes(2))
    assert state(two) == generation(1)
    for number in range(2, 20):
        backup.replace(two, generation(number), now=minutes(number))
    assert broken in backup.list_backups(two)


def test_a_missing_manifest_is_told(two: Path) -> None:
    (only(two).path / "manifest.json").unlink()
    assert "cannot be read" in (only(two).problem or "")


def test_a_missing_file_is_told(two: Path) -> None:
    (only(two).path / ENV_FILE).unlink()
    (finding,) = backup.verify(only(two))
    assert finding.rule == backup.INCOMPLETE
    assert ENV_FILE in finding.message


def test_a_file_that_went_missing_after_the_listing_is_told(two: Path) -> None:
    kept = only(two)
    (kept.path / ENV_FILE).unlink()
    (finding,) = backup.verify(kept)
    assert finding.rule == backup.INCOMPLETE
    with pytest.raises(StoreError, match="missing"):
        backup.restore(two, kept, now=minutes(2))


def test_an_altered_file_is_told_and_not_restored(two: Path) -> None:
    (only(two).path / ENV_FILE).write_text("NUMBER=7\n")
    (finding,) = backup.verify(only(two))
    assert (finding.rule, finding.file) == (backup.ALTERED, str(only(two).path / ENV_FILE))
    with pytest.raises(StoreError, match="hash differs"):
        backup.restore(two, only(two), now=minutes(2))
    assert state(two) == generation(1)


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\nb: [\n", 3), ("- 1\n", 1), ("model_list: 7\n", 1), ("model_list: [7]\n", 1)],
)
def test_a_backup_the_gateway_could_not_start_from_is_told(
    tmp_path: Path, text: str, line: int
) -> None:
    files.write(tmp_path, {CONFIG_FILE: text})
    backup.replace(tmp_path, generation(1), now=NOW)
    (finding,) = backup.verify(only(tmp_path))
    assert (finding.rule, finding.line) == (backup.UNUSABLE, line)
    assert str(finding.severity) == "warning"


def test_a_backup_of_bytes_that_are_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_bytes(b"\xff\xfe")
    backup.replace(tmp_path, generation(1), now=NOW)
    assert (only(tmp_path).path / CONFIG_FILE).read_bytes() == b"\xff\xfe"
    (finding,) = backup.verify(only(tmp_path))
    assert finding.rule == backup.UNUSABLE


def test_verifying_leaves_the_files_and_the_backup_alone(two: Path) -> None:
    before = {path: path.read_bytes() for path in two.rglob("*") if path.is_file()}
    backup.verify(only(two))
    assert {path: path.read_bytes() for path in two.rglob("*") if path.is_file()} == before


def test_what_is_not_a_backup_is_not_listed(two: Path) -> None:
    store = only(two).path.parent
    (store / "notes").mkdir()
    (store / "20269999T000000.000000Z").mkdir()
    (store / "20261121T000000.000000Z").write_text("")
    assert len(backup.list_backups(two)) == 1


def test_a_backup_is_found_by_the_beginning_of_its_name(tmp_path: Path) -> None:
    grown(tmp_path, 4)
    latest, middle, _ = backup.list_backups(tmp_path)
    assert backup.find(tmp_path, "20261121T1232") == middle
    assert backup.find(tmp_path, "latest") == latest
    with pytest.raises(StoreError, match="3 backups begin with"):
        backup.find(tmp_path, "2026")
    with pytest.raises(StoreError, match=r"no backup is called '1999'; there are 2026"):
        backup.find(tmp_path, "1999")


def test_the_latest_is_the_latest_that_is_whole(tmp_path: Path) -> None:
    grown(tmp_path, 3)
    latest, second = backup.list_backups(tmp_path)
    (latest.path / "manifest.json").unlink()
    assert backup.find(tmp_path, "latest") == second


def test_without_any_backup_the_error_says_how_one_comes_to_be(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no backup yet.*harness generate"):
        backup.find(tmp_path, "latest")


def test_a_backup_may_hold_a_secret_so_only_its_owner_reads_it(two: Path) -> None:
    kept = only(two)
    for path in (kept.path, *kept.path.iterdir()):
        assert path.stat().st_mode & 0o077 == 0


def test_no_secret_stands_in_the_manifest(tmp_path: Path) -> None:
    files.write(tmp_path, {CONFIG_FILE: "general_settings: {master_key: sk-canary-1234}\n"})
    backup.replace(tmp_path, generation(1), now=NOW)
    manifest = (only(tmp_path).path / "manifest.json").read_text()
    assert "canary" not in manifest
    assert set(json.loads(manifest)) == {"format", "made", "sources_sha256", "files"}


def test_the_shipped_files_survive_the_round_trip(tmp_path: Path, shipped: Registry) -> None:
    backup.replace(tmp_path, compile_files(shipped), now=NOW)
    backup.replace(tmp_path, generation(1), now=minutes(1))
    assert only(tmp_path).sources == shipped.sha256
    assert backup.verify(only(tmp_path)) == []
    backup.restore(tmp_path, only(tmp_path), now=minutes(2))
    assert files.drift(tmp_path, compile_files(shipped)) == []


@pytest.mark.parametrize("rule", sorted(backup.EXPLAINED))
def test_every_rule_says_its_title_why_and_the_remedy(rule: str) -> None:
    title, why, remedy = backup.EXPLAINED[rule].split("\n\n")
    assert title.endswith(("(error)", "(warning)"))
    assert why
    assert remedy.startswith("Remedy: ")


def test_a_folder_that_cannot_be_written_is_explained(two: Path) -> None:
    kept = only(two)
    (two / CONFIG_FILE).unlink()
    (two / CONFIG_FILE).mkdir()
    with pytest.raises(StoreError, match="nothing was changed"):
        backup.restore(two, kept, now=minutes(2))
