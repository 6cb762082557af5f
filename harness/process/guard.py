r"""The process between the harness and a server: while the harness lives, so may the server.

``python guard.py [--lifeline FD] [--parent PID] [--grace S] -- COMMAND ...`` runs COMMAND in a
session of its own and ends it, with everything it started, when the other end of the lifeline is
closed. The kernel closes it however the harness dies, SIGKILL included. Without ``--lifeline``
the lifeline is standard input, and COMMAND gets none.

A lifeline given by number is a socket and carries three small things: up goes ``PID\n`` of the
started command, or ``!reason\n``; down go ``T`` (SIGTERM to the group) and ``K`` (SIGKILL).
SIGTERM, SIGINT and SIGHUP sent to the guard are passed on to the group. The guard ends the way
the command ended, with its exit code or by its signal.

Run by its path with ``-I -S``: it imports little and nothing of the harness, so it starts in
a few hundredths of a second and works from every folder.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import sys
import time

_LOOK_FOR_PARENT_S = 1.0
"""A fork of the harness that does not exec may hold the lifeline open; then the parent's id says
that it is gone. Asked once in this many seconds."""
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_SWEEP_S = 5.0


def main(arguments: list[str]) -> int:
    """Run the command named on the command line; return its exit code."""
    lifeline, parent, grace_s, command = _parse(arguments)
    given = lifeline != 0
    if given:
        os.set_inheritable(lifeline, False)
    else:
        lifeline = os.dup(0)
        _point_at_null(0)
    received = _catch_signals()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    group, failure = _spawn(command)
    if given:
        os.write(lifeline, f"!{failure}\n".encode() if failure else f"{group}\n".encode())
    if failure:
        sys.stderr.write(f"guard: cannot run {command[0]}: {failure}\n")
        return 127
    _point_at_null(0)  # the command holds its own copies; ours would hide its end of file
    _point_at_null(1)
    status = _watch(group, lifeline, parent, grace_s, received)
    _sweep(group)
    return _end_as(status)


def _parse(arguments: list[str]) -> tuple[int, int, float, list[str]]:
    try:
        split = arguments.index("--")
        pairs = dict(zip(arguments[:split:2], arguments[1:split:2], strict=True))
        command = arguments[split + 1 :]
        lifeline = int(pairs.pop("--lifeline", "0"))
        parent = int(pairs.pop("--parent", str(os.getppid())))
        grace_s = float(pairs.pop("--grace", "2"))
    except ValueError:
        pairs, command = {}, []
    if pairs or not command:
        raise SystemExit((__doc__ or "").split("\n\n")[1])
    return lifeline, parent, grace_s, command


def _catch_signals() -> list[int]:
    """Collect the signals to pass on; each also wakes ``poll`` through the wakeup pipe."""
    received: list[int] = []
    for number in _PASSED_ON:
        signal.signal(number, lambda seen, _: received.append(seen))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return received


def _prctl(option: int, argument: int) -> None:
    """Ask Linux for a belt beside the braces; elsewhere do without."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(Exception):
        import ctypes  # noqa: PLC0415 - only where it is used

        ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)


def _point_at_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)


def _spawn(command: list[str]) -> tuple[int, str]:
    """Fork and exec; return the group, and why exec failed or an empty text."""
    said, say = os.pipe()  # closed by a successful exec
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != guard:  # it was killed before this could be asked for
                os._exit(127)
            for number in (*_PASSED_ON, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            os.execvp(command[0], command)  # noqa: S606 - no shell is the point
        except BaseException as error:  # noqa: BLE001 - two processes must not go on from here
            os.write(say, str(error).encode())
        os._exit(127)
    os.close(say)
    failure = os.read(said, 4096).decode(errors="replace")
    os.close(said)
    if failure:
        os.waitpid(child, 0)
    return child, failure


def _watch(group: int, lifeline: int, parent: int, grace_s: float, received: list[int]) -> int:
    """Wait for the command; return its wait status."""
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(woken, select.POLLIN)
    poll.register(lifeline, select.POLLIN)
    kill_at = float("inf")
    while True:
        status = _reap(group)
        if status is not None:
            return status
        while received:
            _signal(group, received.pop())
        timeout = max(0.0, min(_LOOK_FOR_PARENT_S, kill_at - time.monotonic()))
        ready = {descriptor for descriptor, _ in poll.poll(timeout * 1000)}
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 512)
        alone = os.getppid() != parent
        if lifeline in ready:
            orders = _read(lifeline)
            alone = alone or not orders
            if b"K" in orders:
                _signal(group, signal.SIGKILL)
            elif b"T" in orders:
                _signal(group, signal.SIGTERM)
        if alone and kill_at == float("inf"):
            _signal(group, signal.SIGTERM)
            kill_at = time.monotonic() + grace_s
            poll.unregister(lifeline)
        if time.monotonic() >= kill_at:
            _signal(group, signal.SIGKILL)
            kill_at = time.monotonic() + _LOOK_FOR_PARENT_S


def _read(lifeline: int) -> bytes:
    try:
        return os.read(lifeline, 64)
    except OSError:
        return b""


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _reap(group: int) -> int | None:
    """Collect whoever ended; return the command's status once it is the command."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 0
        if pid == group:
            return status
        if pid == 0:
            return None


def _sweep(group: int) -> None:
    """Kill what the command left behind: its group and, on Linux, whoever left the group."""
    _signal(group, signal.SIGKILL)
    until = time.monotonic() + _SWEEP_S
    while time.monotonic() < until:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.002)
        except ChildProcessError:
            return


def _children() -> list[int]:
    """Processes whose parent is the guard: as sub-reaper it inherits every orphan (prctl(2))."""
    found: list[int] = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH208, PTH112
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123
                fields = stat.read().rpartition(b")")[2].split()
                if int(fields[1]) == os.getpid():
                    found.append(int(name))
    return found


def _end_as(status: int) -> int:
    """Exit code of the command; where a signal ended it, the same signal ends the guard."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one core dump, the command's, is enough
    with contextlib.suppress(OSError):  # SIGKILL needs no default and accepts none
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    return 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
