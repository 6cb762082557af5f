from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.process.command import CommandError, run

ROOT = Path(__file__).parents[3]
FAMILY = "sleep 600 & echo $! $$; wait"
"""A command with a child of its own, as a compiler driver has."""


def gone(pid: int) -> bool:
    """Whether a process ends in reasonable time."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_lines_are_told_as_they_come_and_the_last_are_returned() -> None:
    heard: list[str] = []
    tail = run(["sh", "-c", "echo one; echo two >&2"], each=heard.append)
    assert heard == ["one", "two"]
    assert tail == heard


def test_a_failure_shows_the_command_its_code_and_its_last_lines() -> None:
    with pytest.raises(CommandError, match=r"ended with 3.*\n.*the reason") as caught:
        run(["sh", "-c", "echo the reason; exit 3"])
    assert caught.value.returncode == 3
    assert caught.value.tail == ("the reason",)


def test_a_command_that_is_not_there_says_so() -> None:
    with pytest.raises(CommandError, match="cannot run no-such-program"):
        run(["no-such-program"])


def test_a_signal_is_told_from_an_exit_code() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "kill -ILL $$"])
    assert caught.value.returncode == -signal.SIGILL


def test_a_secret_of_the_environment_is_shown_nowhere() -> None:
    heard: list[str] = []
    env = {**os.environ, "INDEX_PASSWORD": "hunter2-hunter2"}
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo $INDEX_PASSWORD; exit 1"], env=env, each=heard.append)
    assert "hunter2" not in "".join(heard) + str(caught.value)


def test_the_working_folder_is_the_one_asked_for(tmp_path: Path) -> None:
    assert run(["pwd"], cwd=tmp_path) == [str(tmp_path)]


def test_stopping_ends_the_command_and_what_it_started() -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.extend(map(int, line.split()))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", FAMILY], each=interrupt)
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_killing_us_ends_the_command_and_what_it_started() -> None:
    program = f"from harness.process.command import run; run(['sh', '-c', {FAMILY!r}], each=print)"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as harness:
        assert harness.stdout is not None
        pids = [int(word) for word in harness.stdout.readline().split()]
        harness.kill()
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)
