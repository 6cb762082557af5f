"""One child process of the harness: started, awaited, stopped, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from harness.process import guard
from harness.process.secrets import hide, show_command

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

_TAIL_BYTES = 64 * 1024
_POLL_S = (0.02, 0.25)
"""First and longest pause between two probes."""
_GUARD_S = 5.0
"""Time a guard gets to end after SIGKILL; longer only if it is itself stopped or stuck."""
_LINE_LIMIT = 64 * 1024 * 1024


class ProcessError(RuntimeError):
    """A child process did not do what it was started for.

    Attributes: ``id`` (``process.not-started``, ``process.exited``, ``process.not-ready``),
    ``command`` as text without secrets, ``returncode`` (negative: ended by that signal; None: it
    runs), ``tail`` (last lines of its log, without secrets), ``remedy``.
    """

    def __init__(
        self, id_: str, what: str, *, command: str, returncode: int | None, tail: str, remedy: str
    ) -> None:
        self.id, self.command, self.returncode = id_, command, returncode
        self.tail, self.remedy = tail, remedy
        said = "\n".join(f"  | {line}" for line in tail.splitlines()) or "  | (nothing)"
        super().__init__(f"{what}\ncommand: {command}\nits last lines:\n{said}\n{remedy}")


class ChildProcess:
    """A command in a session of its own, under a guard that outlives the harness.

    ``env`` is the whole environment (default: ours), ``log`` the file that standard output and
    error are appended to (default: an unnamed one). With ``pipes`` standard input and output are
    `stdin` and `stdout`, and only standard error is logged. However the harness ends, the guard
    ends the command and all it started, after ``orphan_grace_s`` seconds of SIGTERM.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
        pipes: bool = False,
        orphan_grace_s: float = 2.0,
    ) -> None:
        self.command = [os.fspath(word) for word in command]
        self.name = name or Path(self.command[0]).name
        self.env = dict(os.environ if env is None else env)
        self.cwd, self.log = cwd, log
        self._pipes, self._orphan_grace_s = pipes, orphan_grace_s
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline: socket.socket | None = None
        self._log: IO[bytes] | None = None
        self._log_start = 0
        self._pid: int | None = None
        self._tail = ""

    @property
    def pid(self) -> int | None:
        """Process and group id of the command itself, not of its guard; None before the start."""
        return self._pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: ended by that signal."""
        return self._process.returncode if self._process else None

    @property
    def running(self) -> bool:
        """Started, and not ended as far as we were told."""
        return self._process is not None and self._process.returncode is None

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """The pipe to its standard input; only with ``pipes``."""
        if self._process is None or self._process.stdin is None:
            raise ValueError(f"{self.name} has no pipes: start it, with pipes=True")
        return self._process.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        """The pipe from its standard output; only with ``pipes``."""
        if self._process is None or self._process.stdout is None:
            raise ValueError(f"{self.name} has no pipes: start it, with pipes=True")
        return self._process.stdout

    async def start(self) -> None:
        """Start it; on return the command itself runs.

        Raises:
            ProcessError: no such command, folder or permission; or it runs already.
        """
        if self._process is not None:
            raise self._error("process.not-started", "was started before", "Make a new one.")
        if shutil.which(self.command[0], path=self.env.get("PATH")) is None:
            raise self._error(
                "process.not-started",
                "was not found or may not be executed",
                "Install it, or give its full path.",
            )
        try:
            self._open_log()
            await self._spawn()
        except OSError as error:
            await self.stop(0)
            raise self._error(
                "process.not-started",
                f"could not be started: {error}",
                "Check the working folder, the log folder and the free disk space.",
            ) from error
        except BaseException:
            await self.stop(0)
            raise

    def _open_log(self) -> None:
        if self.log is None:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the child
        else:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self._log = self.log.open("ab+")
        self._log_start = os.fstat(self._log.fileno()).st_size

    async def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        self._lifeline = ours
        ours.setblocking(False)
        with theirs:
            options = {
                "--lifeline": theirs.fileno(),
                "--parent": os.getpid(),
                "--grace": self._orphan_grace_s,
            }
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(guard.__file__),
                *(str(word) for option in options.items() for word in option),
                "--",
                *self.command,
                stdin=asyncio.subprocess.PIPE if self._pipes else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if self._pipes else self._log,
                stderr=self._log,
                cwd=self.cwd,
                env=self.env,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                limit=_LINE_LIMIT,
            )
        said = b""
        while not said.endswith(b"\n"):
            part = await asyncio.get_running_loop().sock_recv(ours, 4096)
            if not part:
                raise OSError("its guard ended at once")
            said += part
        if said.startswith(b"!"):
            raise OSError(said[1:-1].decode(errors="replace"))
        self._pid = int(said)

    async def ready(self, probe: Callable[[], Awaitable[bool]], timeout_s: float) -> None:
        """Return once ``probe`` says True; it is asked again and again.

        A probe that raises OSError (connection refused, timeout) says "not yet"; any other error
        is the caller's and is raised.

        Raises:
            ProcessError: the process ended first (told at once), or ``timeout_s`` passed.
        """
        loop = asyncio.get_running_loop()
        until, pause, reason = loop.time() + timeout_s, _POLL_S[0], "it answered: not yet"
        ended = asyncio.ensure_future(self.wait())
        asked: asyncio.Future[bool] | None = None
        try:
            while loop.time() < until and not ended.done():
                asked = asyncio.ensure_future(probe())
                await asyncio.wait(
                    {asked, ended}, timeout=until - loop.time(), return_when="FIRST_COMPLETED"
                )
                if asked.done():
                    try:
                        if asked.result() and not ended.done():
                            return
                    except OSError as error:
                        reason = f"{type(error).__name__}: {error}"
                    await asyncio.wait({ended}, timeout=min(pause, max(0, until - loop.time())))
                    pause = min(pause * 1.5, _POLL_S[1])
        finally:
            for task in (asked, ended):
                if task is not None:
                    task.cancel()
        if self.returncode is not None:
            raise self._error(
                "process.exited",
                f"ended with {self._how()} before it was ready",
                "Its last lines say why; fix that and start again.",
            )
        raise self._error(
            "process.not-ready",
            f"runs but was not ready within {timeout_s:g} s ({reason})",
            "Read its log; on a slow machine allow it more time.",
        )

    async def wait(self) -> int:
        """Wait for its end; return `returncode`."""
        if self._process is None:
            raise ValueError(f"{self.name} was never started")
        return await self._process.wait()

    def kill(self) -> None:
        """SIGKILL it and its group at once, as a crash would. `wait` or `stop` then collects it."""
        self._order(b"K")

    async def stop(self, grace_s: float = 5.0) -> None:
        """End it: SIGTERM to the group, SIGKILL after ``grace_s`` seconds; nothing is left.

        Safe to call twice, and after a failed start. A cancelled stop kills at once.
        """
        try:
            if self._process is not None and self._process.returncode is None:
                self._order(b"T" if grace_s > 0 else b"K")
                if not await self._ended_within(grace_s):
                    self._order(b"K")
                    if not await self._ended_within(_GUARD_S):
                        self._force()
                        await self._process.wait()
        except BaseException:
            self._order(b"K")
            raise
        finally:
            self._close()

    def log_tail(self, lines: int = 20) -> str:
        """The last lines it wrote in this run, secrets of its environment hidden."""
        if self._log is None:
            return ""
        if self._log.closed:
            return "\n".join(self._tail.splitlines()[-lines:])
        size = os.fstat(self._log.fileno()).st_size
        start = max(self._log_start, size - _TAIL_BYTES)
        text = os.pread(self._log.fileno(), size - start, start).decode(errors="replace")
        return hide("\n".join(text.splitlines()[-lines:]), self.env)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def _order(self, letter: bytes) -> None:
        if self._lifeline is not None:
            with contextlib.suppress(OSError):  # the guard has ended: there is nobody to stop
                self._lifeline.send(letter)

    async def _ended_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _force(self) -> None:
        """The guard does not do its work (stopped by a debugger, say): do it for it."""
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _close(self) -> None:
        self._tail = self.log_tail(200)
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        for held in (self._lifeline, self._log):
            if held is not None:
                held.close()

    def _how(self) -> str:
        code = self.returncode
        if code is None:
            return "no exit code"
        return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

    def _error(self, id_: str, what: str, remedy: str) -> ProcessError:
        return ProcessError(
            id_,
            f"{self.name} {hide(what, self.env)}",
            command=hide(show_command(self.command), self.env),
            returncode=self.returncode,
            tail=self.log_tail(),
            remedy=f"{remedy} Log: {self.log}" if self.log else remedy,
        )
