from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
from typing import TYPE_CHECKING

import pytest

from harness.gateway import swap

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OLD: dict[str, bytes | None] = {"one.yaml": b"old: 1\n", "two.env": b"OLD=1\n", "gone": None}
NEW: dict[str, bytes | None] = {"one.yaml": b"new: 2\n", "two.env": None, "gone": b"back\n"}
STEPS = 11
"""How often a swap of these files touches the disk; the first test holds the number."""

FORK = multiprocessing.get_context("fork")


def fill(directory: Path, files: dict[str, bytes | None]) -> None:
    for name, data in files.items():
        if data is None:
            (directory / name).unlink(missing_ok=True)
        else:
            (directory / name).write_bytes(data)


def state(directory: Path) -> dict[str, bytes | None]:
    return {name: swap.read_if_there(directory / name) for name in OLD}


def litter(directory: Path) -> set[str]:
    return {path.name for path in (directory / swap.STORE).iterdir()} - {"lock", ".gitignore"}


def exchange(directory: Path, step: Callable[[str], None] = swap.nothing) -> None:
    with swap.locked(directory) as store:
        swap.swap(directory, store, NEW, step=step)


class Stop:
    """Does something before the n-th step, and counts the steps."""

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self.at, self.act, self.seen = at, act, 0

    def __call__(self, _: str) -> None:
        self.seen += 1
        if self.seen == self.at:
            self.act()


def full() -> None:
    raise OSError(28, "No space left on device")


def test_every_file_is_new_and_nothing_else_is_left(tmp_path: Path) -> None:
    fill(tmp_path, OLD)
    counted = Stop(0, full)
    exchange(tmp_path, counted)
    assert state(tmp_path) == NEW
    assert litter(tmp_path) == set()
    assert counted.seen == STEPS


@pytest.mark.parametrize("at", range(1, STEPS))
def test_a_full_disk_at_any_step_leaves_every_file_old(tmp_path: Path, at: int) -> None:
    fill(tmp_path, OLD)
    with pytest.raises(swap.StoreError, match=r"nothing was replaced.*disk is full"):
        exchange(tmp_path, Stop(at, full))
    assert state(tmp_path) == OLD
    assert litter(tmp_path) == set()


@pytest.mark.parametrize("at", range(1, STEPS))
def test_an_interrupt_at_any_step_leaves_every_file_old(tmp_path: Path, at: int) -> None:
    fill(tmp_path, OLD)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exchange(tmp_path, Stop(at, interrupt))
    assert state(tmp_path) == OLD
    assert litter(tmp_path) == set()


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_killed_at_any_step_the_files_are_all_old_or_all_new(tmp_path: Path, at: int) -> None:
    fill(tmp_path, OLD)

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    child = FORK.Process(target=exchange, args=(tmp_path, Stop(at, die)))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    for name, data in state(tmp_path).items():
        assert data in (OLD[name], NEW[name]), "a file is never half-written"
    swap.recover(tmp_path)
    assert state(tmp_path) in (OLD, NEW)
    with swap.locked(tmp_path):
        assert litter(tmp_path) == set()


def test_killed_between_two_files_the_next_command_ends_it(tmp_path: Path) -> None:
    fill(tmp_path, OLD)

    def at_second_file(name: str) -> None:
        if name == "replace two.env":
            os._exit(9)

    child = FORK.Process(target=exchange, args=(tmp_path, at_second_file))
    child.start()
    child.join()
    assert state(tmp_path) not in (OLD, NEW)
    with swap.locked(tmp_path):
        assert state(tmp_path) == NEW


def test_a_journal_that_cannot_be_dropped_does_no_harm(tmp_path: Path) -> None:
    fill(tmp_path, OLD)
    exchange(tmp_path, Stop(STEPS, full))
    assert state(tmp_path) == NEW
    with swap.locked(tmp_path):
        assert state(tmp_path) == NEW
        assert litter(tmp_path) == set()


def test_a_hand_edit_after_a_crash_is_not_overwritten(tmp_path: Path) -> None:
    fill(tmp_path, OLD)

    def at_second_file(name: str) -> None:
        if name == "replace two.env":
            os._exit(9)

    child = FORK.Process(target=exchange, args=(tmp_path, at_second_file))
    child.start()
    child.join()
    (tmp_path / "two.env").write_bytes(b"MINE=1\n")
    with pytest.raises(swap.StoreError, match=r"changed since.*remove the folder"):
        swap.recover(tmp_path)
    assert (tmp_path / "two.env").read_bytes() == b"MINE=1\n"


def test_a_damaged_journal_is_reported_with_what_to_do(tmp_path: Path) -> None:
    journal = tmp_path / swap.STORE / "journal"
    journal.mkdir(parents=True)
    (journal / "journal.json").write_text('{"one.yaml": 7}')
    with pytest.raises(swap.StoreError, match=r"damaged.*remove this folder"):
        swap.recover(tmp_path)


def test_without_a_crash_there_is_nothing_to_recover(tmp_path: Path) -> None:
    assert swap.recover(tmp_path) is False
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_kept_names_its_holder(tmp_path: Path) -> None:
    with (
        swap.locked(tmp_path),
        pytest.raises(swap.StoreError, match=rf"process {os.getpid()}\)"),
        swap.locked(tmp_path, wait_s=0),
    ):
        pass


def test_a_lock_goes_with_the_process_that_held_it(tmp_path: Path) -> None:
    def hold_and_die() -> None:
        with swap.locked(tmp_path):
            os._exit(9)

    child = FORK.Process(target=hold_and_die)
    child.start()
    child.join()
    with swap.locked(tmp_path, wait_s=0):
        pass


def test_processes_that_swap_at_once_never_mix(tmp_path: Path) -> None:
    def many(mark: str) -> None:
        for number in range(20):
            data = f"{mark} {number}\n".encode()
            with swap.locked(tmp_path) as store:
                swap.swap(tmp_path, store, {"one.yaml": data, "two.env": data})

    children = [FORK.Process(target=many, args=(mark,)) for mark in "abcd"]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0, 0]
    assert (tmp_path / "one.yaml").read_bytes() == (tmp_path / "two.env").read_bytes()


def test_a_real_limit_on_file_size_leaves_every_file_old(tmp_path: Path) -> None:
    fill(tmp_path, OLD)
    big = {**NEW, "one.yaml": b"x" * 100_000}

    def limited() -> None:
        with swap.locked(tmp_path) as store:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
            with contextlib.suppress(swap.StoreError):
                swap.swap(tmp_path, store, big)
                os._exit(1)

    child = FORK.Process(target=limited)
    child.start()
    child.join()
    assert child.exitcode == 0
    assert state(tmp_path) == OLD
    assert litter(tmp_path) == set()


def test_the_store_is_private_and_ignored_by_git(tmp_path: Path) -> None:
    with swap.locked(tmp_path) as store:
        assert (store / ".gitignore").read_text() == "*\n"
        assert store.stat().st_mode & 0o077 == 0


def test_a_file_where_the_store_should_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / swap.STORE).write_text("")
    with pytest.raises(swap.StoreError, match="move it away"):
        exchange(tmp_path)
