from __future__ import annotations

import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from harness.process import venv
from harness.process.venv import EnvironmentBuildError, ensure, fingerprint, is_complete


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock of one tiny package that lies beside it, so that no network is needed."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    wheel = tmp_path / "tinything-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tinything.py", "VALUE = 7\n")
        folder = "tinything-1.0.dist-info"
        archive.writestr(
            f"{folder}/METADATA", "Metadata-Version: 2.1\nName: tinything\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{folder}/RECORD", "")
    hashed = subprocess.run(
        [sys.executable, "-m", "pip", "hash", str(wheel)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("--hash=")[1]
    path = tmp_path / "some.lock"
    path.write_text(f"tinything==1.0 --hash={hashed}")
    return path


def test_what_the_lock_names_can_be_imported_there(lock: Path, tmp_path: Path) -> None:
    python = ensure(tmp_path / "a folder" / "env", lock)
    said = subprocess.run(
        [python, "-c", "import tinything; print(tinything.VALUE)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "7\n"


def test_a_complete_environment_is_not_built_again(lock: Path, tmp_path: Path) -> None:
    ensure(tmp_path / "env", lock)
    said: list[str] = []
    ensure(tmp_path / "env", lock, say=said.append)
    assert said == []


def test_another_lock_makes_it_incomplete(lock: Path, tmp_path: Path) -> None:
    ensure(tmp_path / "env", lock)
    before = fingerprint(lock)
    lock.write_text(lock.read_text() + "\n# a comment counts too: the lock is what was reviewed\n")
    assert fingerprint(lock) != before
    assert not is_complete(tmp_path / "env", lock)


def test_a_half_built_environment_is_seen_and_built_again(lock: Path, tmp_path: Path) -> None:
    ensure(tmp_path / "env", lock)
    (tmp_path / "env" / venv.STAMP).unlink()
    assert not is_complete(tmp_path / "env", lock)
    ensure(tmp_path / "env", lock)
    assert is_complete(tmp_path / "env", lock)


def test_a_package_that_is_not_the_reviewed_one_is_refused(lock: Path, tmp_path: Path) -> None:
    lock.write_text(lock.read_text().replace("sha256:", "sha256:0")[:-2])
    with pytest.raises(EnvironmentBuildError, match=r"(?i)hash"):
        ensure(tmp_path / "env", lock)
    assert not is_complete(tmp_path / "env", lock)


def test_two_locks_make_one_environment(lock: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.lock"
    second.write_text("# a lock may be empty\n")
    ensure(tmp_path / "env", lock, second)
    assert is_complete(tmp_path / "env", lock, second)
    assert not is_complete(tmp_path / "env", lock)


def test_another_python_is_asked_what_it_is(lock: Path, tmp_path: Path) -> None:
    ensure(tmp_path / "env", lock, python=Path(sys.executable))
    assert is_complete(tmp_path / "env", lock)
    assert not is_complete(tmp_path / "env", lock, tag="cpython-39-linux")
    with pytest.raises(EnvironmentBuildError, match="cannot run"):
        ensure(tmp_path / "env", lock, python=tmp_path / "no-python")


def test_who_comes_second_is_told_whom_it_waits_for(tmp_path: Path) -> None:
    said: list[str] = []
    told = threading.Event()
    order: list[str] = []

    def second() -> None:
        def hear(line: str) -> None:
            said.append(line)
            told.set()

        with venv.exclusive(tmp_path / "engine.lock", say=hear):
            order.append("second")

    waiting = threading.Thread(target=second)
    with venv.exclusive(tmp_path / "engine.lock", say=said.append):
        waiting.start()
        assert told.wait(30)
        order.append("first")
    waiting.join(30)
    assert order == ["first", "second"]
    assert said == [f"waiting for process {os.getpid()}, which builds engine"]


def test_progress_tells_counts_and_large_files() -> None:
    said: list[str] = []
    hear = venv._PipProgress(30, said.append)
    for number in range(25):
        hear(f"Collecting package{number}==1.0 (from -r some.lock (line {number}))")
    hear("  Downloading package-1.0-py3-none-any.whl (2.0 MB)")
    hear("  Downloading https://index.invalid/large_one-1.0-cp311-cp311-linux.whl (190.2 MB)")
    hear("Installing collected packages: package")
    assert said == [
        "  25 of 30 packages fetched",
        "  large_one, 190 MB",
        "  all fetched; unpacking",
    ]


def test_a_folder_that_cannot_be_made_names_the_remedy(lock: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentBuildError, match="HARNESS_CACHE"):
        ensure(tmp_path / "file" / "env", lock)


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    assert venv.cache_root() == tmp_path
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert venv.cache_root() == tmp_path / "xdg" / "llm-gateway-harness"
