"""A command run to its end: its lines told as they come, and nothing of it left if we stop.

Standard library only: it runs before anything else is installed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING

from harness.process import guard
from harness.process.secrets import hide, show_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_KEPT = 40
_SHOWN = 15
_GRACE_S = 3.0
"""What a compiler gets to delete its half-written file before SIGKILL."""


class CommandError(RuntimeError):
    """A command ended with another code than 0; ``tail`` has its last lines, oldest first."""

    def __init__(self, command: Sequence[str], returncode: int, tail: Sequence[str]) -> None:
        self.command, self.returncode, self.tail = tuple(command), returncode, tuple(tail)
        said = "\n".join(f"  | {line}" for line in self.tail[-_SHOWN:]) or "  | (nothing)"
        super().__init__(
            f"`{show_command([*command])}` ended with {returncode}. Its last lines:\n{said}"
        )


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    each: Callable[[str], object] = lambda _: None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> list[str]:
    """Run ``command`` and return the last lines of its output, standard error included.

    ``each`` gets every line as it is written. The command has a process group of its own under
    `harness.process.guard`: however this call ends, by Ctrl-C or by SIGKILL of the harness, the
    command and everything it started end too.

    Raises:
        CommandError: it ended with another code than 0, or could not be started.
    """
    words = [os.fspath(word) for word in command]
    environment = dict(os.environ if env is None else env)
    tail: deque[str] = deque(maxlen=_KEPT)
    guarded = [sys.executable, "-I", "-S", str(guard.__file__), "--grace", str(_GRACE_S), "--"]
    with subprocess.Popen(
        [*guarded, *words],
        stdin=subprocess.PIPE,  # the guard's lifeline: the kernel closes it when we are gone
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        cwd=cwd,
        start_new_session=True,
    ) as child:
        try:
            for line in child.stdout or ():
                tail.append(hide(line.rstrip(), environment))
                each(tail[-1])
            child.wait()
        except BaseException:
            if child.stdin is not None:
                child.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(2 * _GRACE_S)
            raise
    if child.returncode != 0:
        raise CommandError(words, child.returncode, tail)
    return list(tail)
