"""Runs the server and the clients: measured, guarded, and gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.process import guard

sys.path.insert(0, str(Path(__file__).parents[1]))
from timed_server import Served, read_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from resource import struct_rusage

TIMED_SERVER = Path(__file__).parents[1] / "timed_server.py"
EVENTS, FIRST_MS, GAP_MS = 64, 100, 20
"""What every answer is: tokens, time to the first, time between two."""
_SPIN = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
_GUARD = (sys.executable, "-I", "-S", str(guard.__file__), "--grace", "3", "--")


class FailedError(RuntimeError):
    """A client did not do its work; the text is its last lines."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A program that ended well: what it wrote and what it took, all its processes together."""

    output: str
    cpu_s: float
    wall_s: float
    peak_mb: float
    """Of its largest process."""


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout_s: float = 110.0,
) -> Ran:
    """Run ``command`` under the guard that ends all it started, whatever ends us.

    Raises:
        FailedError: it ended with another code than 0, or not in time.
    """
    words = list(map(str, command))
    if stdin is not None:  # the guard's own standard input is its lifeline
        words = ["sh", "-c", 'exec "$@" < "$STDIN_FILE"', "sh", *words]
    with tempfile.NamedTemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(stdin or b"")
        given.flush()
        begun = time.monotonic()
        child = subprocess.Popen(
            [*_GUARD, *words],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {}), "STDIN_FILE": given.name},
        )
        try:
            status, usage = _reaped(child, begun + timeout_s)
        finally:
            if child.stdin is not None:
                child.stdin.close()  # lets go of the lifeline: whatever still runs is ended
        said.seek(0)
        output = said.read().decode(errors="replace")
    if status is None or status != 0:
        how = f"no end within {timeout_s:g} s" if status is None else f"exit code {status}"
        tail = "\n".join(output.splitlines()[-15:])
        raise FailedError(f"{how}:\n{tail}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return Ran(output, cpu_s, time.monotonic() - begun, usage.ru_maxrss / 1e3)


def _reaped(child: subprocess.Popen[bytes], until: float) -> tuple[int | None, struct_rusage]:
    """Wait for the guard, whose usage has that of all it waited for."""
    late = False
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return None if late else child.returncode, usage
        if time.monotonic() > until and not late and child.stdin is not None:
            late = True
            child.stdin.close()
        time.sleep(0.02)


@contextmanager
def server(processes: int, spread: float = 0.0) -> Iterator[tuple[int, list[Served]]]:
    """A server of known timing: its port, and a list that has its ledger once it was stopped."""
    ledger: list[Served] = []
    with tempfile.TemporaryDirectory() as folder:
        command = [*_GUARD, sys.executable, str(TIMED_SERVER)]
        command += [str(EVENTS), str(FIRST_MS), str(GAP_MS), f"--spread={spread}"]
        command += [f"--processes={processes}", f"--ledger={folder}"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            try:
                if child.stdout is None:
                    raise FailedError("the server has no output")
                yield int(child.stdout.readline()), ledger
            finally:
                child.terminate()
                child.wait()
        ledger += read_ledger(Path(folder))


@contextmanager
def busy_cores() -> Iterator[None]:
    """One process that computes, pinned, on every core this process may use."""
    spinning = []
    try:
        for core in sorted(os.sched_getaffinity(0)):
            command = [*_GUARD, sys.executable, "-c", _SPIN, str(core)]
            spinning.append(subprocess.Popen(command, stdin=subprocess.PIPE))
        yield
    finally:
        for one in spinning:
            one.terminate()
            one.wait()
