from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.process import guard

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
GUARD = [sys.executable, "-m", "harness.process.guard"]
SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


@contextmanager
def run(*command: str, options: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [*GUARD, *options, "--", *command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def gone(pid: int) -> bool:
    """Waits for the process to end; the patience only keeps a failure from hanging."""
    patience = 3000
    while Path(f"/proc/{pid}").exists() and patience:
        time.sleep(0.01)
        patience -= 1
    return not Path(f"/proc/{pid}").exists()


def test_end_of_its_standard_input_ends_the_command() -> None:
    with run(sys.executable, "-c", SLEEPS) as process:
        assert process.stdin
        assert process.stdout
        pid = int(process.stdout.readline())
        process.stdin.close()
        assert process.wait() == -signal.SIGTERM
        assert gone(pid)


def test_it_ends_with_the_code_of_the_command() -> None:
    with run(sys.executable, "-c", "raise SystemExit(7)") as process:
        assert process.wait() == 7


def test_it_ends_by_the_signal_that_ended_the_command() -> None:
    with run(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)") as process:
        assert process.wait() == -signal.SIGKILL


def test_a_signal_to_the_guard_is_passed_on() -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))\n"
        "print(flush=True)\ntime.sleep(600)"
    )
    with run(sys.executable, "-c", code) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 42


def test_a_parent_that_is_gone_is_noticed_even_if_the_lifeline_stays_open() -> None:
    # The parent's id is that of a process that has ended: nobody with this id is our parent.
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with run(sys.executable, "-c", SLEEPS, options=("--parent", str(ended.pid))) as process:
        assert process.wait() == -signal.SIGTERM


def test_the_command_does_not_inherit_the_lifeline() -> None:
    code = "import os; print(len(os.listdir('/proc/self/fd')))"
    read, write = os.pipe()
    with subprocess.Popen(
        [*GUARD, "--lifeline", str(write), "--", sys.executable, "-c", code],
        cwd=ROOT,
        pass_fds=(write,),
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.read().split()[-1] == b"4"  # 0, 1, 2 and the listing itself
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    "words", [[], ["--"], ["--grace", "--", "true"], ["--what", "1", "--", "x"]]
)
def test_a_wrong_command_line_shows_the_right_one(words: list[str]) -> None:
    with pytest.raises(SystemExit, match="COMMAND"):
        guard._parse(words)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_command_whose_guard_died_before_it_could_tell_is_not_run() -> None:
    # The guard is killed between the fork and the child's prctl: the order is forced here.
    script = """
        import os, signal, threading, time
        from harness.process import guard

        born_of, setsid = os.getpid(), os.setsid

        def once_orphaned():
            while os.getppid() == born_of:
                time.sleep(0.001)
            setsid()

        os.setsid = once_orphaned
        threading.Timer(0.05, os.kill, (born_of, signal.SIGKILL)).start()
        guard._spawn(["echo", "it ran"])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True, text=True, check=False, timeout=30, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == ""  # read until the last holder of the pipe was gone
