from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.installs.machine import Machine, free_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Script


def test_a_flag_counts_where_every_core_has_it(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("flags\t: avx avx2 fma\n\nflags\t: avx fma\nmodel name\t: x\n")
    assert Machine(cpuinfo=path).cpu_flags() == {"avx", "fma"}


def test_a_machine_that_lists_no_flags_has_none(tmp_path: Path) -> None:
    assert Machine(cpuinfo=tmp_path / "none").cpu_flags() == frozenset()


def test_this_machine_lists_some() -> None:
    assert Machine().cpu_flags()


def test_the_first_program_there_is_taken(script: Script, bin_folder: Path) -> None:
    there = script("second")
    machine = Machine(search_path=str(bin_folder))
    assert machine.program("first", "second") == there
    assert machine.program("first") is None


def test_little_memory_means_fewer_compilers(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:    1100000 kB\n")
    assert Machine(meminfo=meminfo).jobs() == 1
    meminfo.write_text("nothing")
    assert Machine(meminfo=meminfo).jobs() >= 1


def test_the_disk_of_a_folder_that_is_not_there_yet_is_its_parents(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "a" / "b") > 0


def test_the_c_library_has_a_name() -> None:
    assert Machine().libc()
