from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.engines.installs.errors import InstallError
from harness.engines.installs.machine import Machine
from harness.engines.installs.prometheus import Prometheus

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Script

SAYS = "echo 'prometheus, version 9.8.7+ds (branch: x)'"
UNPACK = f"""
mkdir -p "$3/usr/bin"
for name in prometheus promtool; do
  printf '#!/bin/sh\\n{SAYS.replace("'", '"')}\\n' > "$3/usr/bin/$name"; chmod +x "$3/usr/bin/$name"
done"""


def prometheus(bin_folder: Path) -> Prometheus:
    machine = Machine(search_path=str(bin_folder))
    return Prometheus(name="prometheus", summary="", disk_mb=1, machine=machine)


def test_the_package_is_unpacked_without_root(script: Script, bin_folder: Path) -> None:
    script("apt-get", "touch prometheus_9.8.7_amd64.deb")
    script("dpkg", UNPACK)
    engine = prometheus(bin_folder)
    assert engine.version == "of this system"
    engine.install()
    assert engine.version == "9.8.7+ds"
    assert {path.name for path in engine.program("promtool").parent.iterdir()} == {
        "prometheus",
        "promtool",
    }


def test_old_lists_are_renewed_for_this_only(script: Script, bin_folder: Path) -> None:
    fresh = 'case "$*" in *update*) touch updated;; *) test -e updated && touch prometheus_9.deb;;'
    script("apt-get", f"{fresh} esac || {{ echo E: Unable to locate package; exit 100; }}")
    script("dpkg", UNPACK)
    said: list[str] = []
    prometheus(bin_folder).install(said.append)
    assert any("fetching fresh ones" in line for line in said)


def test_an_archive_out_of_reach_names_what_to_run(script: Script, bin_folder: Path) -> None:
    script("apt-get", "echo E: Unable to locate package prometheus; exit 100")
    script("dpkg", UNPACK)
    with pytest.raises(InstallError, match=r"Unable to locate.*\n.*\n?.*apt-get update") as caught:
        prometheus(bin_folder).install()
    assert caught.value.id == "install.debian"
    assert prometheus(bin_folder).state() == "unfinished"


def test_without_apt_the_programs_on_path_are_taken(script: Script, bin_folder: Path) -> None:
    script("prometheus", SAYS)
    real = script("promtool", SAYS)
    said: list[str] = []
    engine = prometheus(bin_folder)
    engine.install(said.append)
    assert engine.version == "9.8.7+ds"
    assert engine.program("promtool").resolve() == real
    assert any("on PATH" in line for line in said)


def test_an_upgrade_of_the_program_on_path_is_noticed(script: Script, bin_folder: Path) -> None:
    script("promtool", SAYS)
    script("prometheus", SAYS)
    engine = prometheus(bin_folder)
    engine.install()
    script("prometheus", SAYS.replace("9.8.7", "10.11.12"))
    assert engine.state() == "damaged"
    engine.install()
    assert engine.version == "10.11.12+ds"


def test_without_apt_and_without_programs_both_are_named(script: Script, bin_folder: Path) -> None:
    script("promtool", SAYS)
    with pytest.raises(InstallError, match=r"no apt-get and dpkg, and prometheus is not") as caught:
        prometheus(bin_folder).install()
    assert caught.value.id == "install.debian"
