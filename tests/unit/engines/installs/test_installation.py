from __future__ import annotations

import multiprocessing
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from harness.engines.installs.errors import InstallError
from harness.engines.installs.installation import WORK, Installation, engines_root
from harness.engines.installs.machine import Machine
from harness.process.command import run
from harness.process.venv import STAMP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Toy(Installation):
    """Builds one script; how, a test may change."""

    steps: str = "echo built >> built.log"
    tool: str = "exit 0"
    refusal: InstallError | None = None
    built: list[str] = field(default_factory=list)

    @property
    def version(self) -> str:
        return "1.0"

    def edition(self) -> str:
        return "1.0-any"

    def programs(self) -> Mapping[str, Path]:
        return {"tool": self.location() / "tool"}

    def _refusal(self) -> InstallError | None:
        return self.refusal

    def _build(self, location: Path, say: Callable[[str], object]) -> None:
        self.built.append(str(location))
        (location / WORK).mkdir(exist_ok=True)
        run(["sh", "-c", self.steps], cwd=location, each=say)
        (location / "tool").write_text(f"#!/bin/sh\n{self.tool}\n")
        (location / "tool").chmod(0o755)

    def _proofs(self) -> Sequence[Sequence[str | Path]]:
        return [[self.location() / "tool"]]


def toy(**given: object) -> Toy:
    return Toy(**{"name": "toy", "summary": "a toy", "disk_mb": 1, **given})  # type: ignore[arg-type]


def test_an_engine_that_is_not_there_names_the_command_that_installs_it() -> None:
    with pytest.raises(InstallError, match=r"nox -s engines -- toy") as caught:
        toy().program("tool")
    assert caught.value.id == "install.not-installed"


def test_what_is_installed_is_whole_and_has_its_programs() -> None:
    engine = toy()
    location = engine.install()
    assert engine.installed()
    assert engine.program("tool") == location / "tool"
    assert location.parent == engines_root()
    assert engine.size_bytes() > 0
    assert not (location / WORK).exists()


def test_an_unknown_program_is_told_the_known_ones() -> None:
    with pytest.raises(InstallError, match="tool") as caught:
        toy().program("saw")
    assert caught.value.id == "install.unknown"


def test_it_is_built_once() -> None:
    engine = toy()
    engine.install()
    said: list[str] = []
    engine.install(said.append)
    assert len(engine.built) == 1
    assert said == []


def missing(tool: Path) -> None:
    tool.unlink()


def cut(tool: Path) -> None:
    tool.write_text("")


def locked(tool: Path) -> None:
    tool.chmod(0o644)


@pytest.mark.parametrize(
    ("damage", "told"),
    [(missing, "is missing"), (cut, "has 0 bytes"), (locked, "is not executable")],
)
def test_damage_is_seen_and_repaired(damage: Callable[[Path], None], told: str) -> None:
    engine = toy()
    damage(engine.install() / "tool")
    assert engine.state() == "damaged"
    with pytest.raises(InstallError, match="damaged"):
        engine.program("tool")
    said: list[str] = []
    engine.install(said.append)
    assert engine.installed()
    assert told in said[0]


@pytest.mark.parametrize(
    ("steps", "lost"),
    [
        ("echo x > library.so.1; ln -s library.so.1 library.so", "library.so"),
        ("echo x > library.so.1; ln -s library.so.1 library.so", "library.so.1"),
        ("head -c 2000000 /dev/zero > weights.bin", "weights.bin"),
    ],
)
def test_a_lost_library_is_damage_too(steps: str, lost: str) -> None:
    engine = toy(steps=steps)
    (engine.install() / lost).unlink()
    assert engine.state() == "damaged"


def test_a_small_text_file_may_change() -> None:
    engine = toy(steps="echo x > notes.txt; ln -s nowhere dangling.so")
    (engine.install() / "notes.txt").unlink()
    assert engine.installed()


def test_a_stamp_that_cannot_be_read_is_none() -> None:
    engine = toy()
    (engine.install() / STAMP).write_text("{")
    assert engine.state() == "unfinished"
    engine.install()
    assert engine.installed()


def test_a_failed_build_is_unfinished_and_goes_on_where_it_stopped() -> None:
    with pytest.raises(InstallError, match="the compiler says no") as caught:
        toy(steps="touch half; echo the compiler says no; exit 1").install()
    assert caught.value.id == "install.build"
    again = toy(steps="test -e half && echo went on")
    assert again.state() == "unfinished"
    assert again.size_bytes() >= 0
    said: list[str] = []
    again.install(said.append)
    assert "went on" in said
    assert again.installed()


def test_a_program_that_does_not_run_is_not_installed() -> None:
    engine = toy(tool="echo no such library; exit 127")
    with pytest.raises(InstallError, match="no such library"):
        engine.install()
    assert engine.state() == "unfinished"


def test_machine_code_that_the_processor_does_not_know_is_told_as_that() -> None:
    with pytest.raises(InstallError, match="instructions") as caught:
        toy(tool="kill -ILL $$").install()
    assert caught.value.id == "install.cpu"


def test_a_machine_that_can_never_run_it_is_refused_before_anything_is_built() -> None:
    engine = toy(refusal=InstallError("install.cpu", "too old"))
    with pytest.raises(InstallError, match="too old"):
        engine.install()
    assert engine.built == []
    assert engine.state() == "absent"


def test_a_full_disk_is_seen_before_anything_is_built() -> None:
    engine = toy(disk_mb=500, machine=Machine(free=lambda _: 100_000_000))
    with pytest.raises(InstallError, match=r"500 MB.*100 MB are free.*HARNESS_CACHE") as caught:
        engine.install()
    assert caught.value.id == "install.disk"
    assert engine.built == []


def test_a_full_folder_for_temporary_files_names_its_variable() -> None:
    engine = toy(disk_mb=0, temporary_mb=500, machine=Machine(free=lambda _: 100_000_000))
    with pytest.raises(InstallError, match="TMPDIR"):
        engine.install()


def test_a_disk_that_fills_up_meanwhile_is_told_as_that() -> None:
    with pytest.raises(InstallError, match="HARNESS_CACHE") as caught:
        toy(steps="echo write error: No space left on device; exit 1").install()
    assert caught.value.id == "install.disk"


def test_a_cache_that_cannot_be_written_names_the_variable(cache: Path) -> None:
    cache.write_text("a file, not a folder")
    with pytest.raises(InstallError, match="HARNESS_CACHE") as caught:
        toy().install()
    assert caught.value.id == "install.cache"


def test_stopping_leaves_nothing_running_and_an_unfinished_folder() -> None:
    pids: list[int] = []

    def stop(line: str) -> None:
        if line.isdigit():
            pids.append(int(line))
            raise KeyboardInterrupt

    engine = toy(steps="echo $$; exec sleep 600")
    with pytest.raises(KeyboardInterrupt):
        engine.install(stop)
    assert engine.state() == "unfinished"
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    toy().install()


def test_two_at_once_build_it_once() -> None:
    engine = toy(steps="sleep 0.2")
    both = [threading.Thread(target=engine.install) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert engine.installed()
    assert len(engine.built) == 1


def _install_and_tell(queue: multiprocessing.Queue[list[str]]) -> None:
    engine = toy(steps="sleep 0.2")
    engine.install()
    queue.put(engine.built)


def test_two_processes_at_once_build_it_once() -> None:
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[list[str]] = context.Queue()
    both = [context.Process(target=_install_and_tell, args=(queue,)) for _ in range(2)]
    for each in both:
        each.start()
    built = [*queue.get(timeout=60), *queue.get(timeout=60)]
    for each in both:
        each.join(60)
    assert len(built) == 1
    assert toy().installed()


def test_what_is_removed_is_gone_with_its_older_builds() -> None:
    engine = toy()
    location = engine.install()
    old = location.with_name("toy-0.9-any")
    old.mkdir()
    (old / "file").write_text("x" * 10_000)
    assert engine.others() == [old]
    assert engine.remove() > 10_000
    assert engine.state() == "absent"
    assert not old.exists()
    assert engine.remove() == 0


def test_another_engine_of_a_similar_name_is_not_meant() -> None:
    toy(name="toy").install()
    assert toy(name="to").others() == []
