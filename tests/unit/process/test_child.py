from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from harness.process.child import ChildProcess, ProcessError

PYTHON = sys.executable
ROOT = Path(__file__).parents[3]
SLEEPS = "import time\nprint('up', flush=True)\ntime.sleep(600)"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPS


def python(code: str) -> list[str]:
    return [PYTHON, "-I", "-S", "-u", "-c", textwrap.dedent(code)]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            return not Path("/proc/self/stat").exists()
        return False
    return state != "Z"


def gone(pid: int) -> bool:
    """Waits for the process to end; the patience only keeps a failure from hanging."""
    patience = 3000
    while alive(pid) and patience:
        time.sleep(0.01)
        patience -= 1
    return not alive(pid)


async def says_up(child: ChildProcess) -> bool:
    return "up" in child.log_tail()


def test_it_runs_in_a_session_of_its_own_and_stop_ends_it() -> None:
    async def scenario() -> tuple[int, int, int | None]:
        child = ChildProcess(python(SLEEPS))
        await child.start()
        await child.ready(lambda: says_up(child), 30)
        assert child.pid is not None
        assert child.running
        session = os.getsid(child.pid)
        await child.stop()
        return child.pid, session, child.returncode

    pid, session, code = asyncio.run(scenario())
    assert session == pid != os.getsid(0)
    assert code == -signal.SIGTERM
    assert not alive(pid)


def test_a_child_that_ignores_sigterm_is_killed() -> None:
    async def scenario() -> int | None:
        child = ChildProcess(python(STUBBORN))
        await child.start()
        await child.ready(lambda: says_up(child), 30)
        await child.stop(grace_s=0.05)
        return child.returncode

    assert asyncio.run(scenario()) == -signal.SIGKILL


def test_a_child_that_ends_early_is_told_at_once_with_its_last_lines() -> None:
    async def never() -> bool:
        return False

    async def scenario() -> ProcessError:
        code = "import sys\nfor n in range(60): print('line', n)\nsys.exit(3)"
        async with ChildProcess(python(code), name="engine") as child:
            with pytest.raises(ProcessError) as caught:
                await child.ready(never, timeout_s=3600)
            return caught.value

    error = asyncio.run(scenario())
    assert error.id == "process.exited"
    assert error.returncode == 3
    assert "exit code 3" in str(error)
    assert error.tail.splitlines()[-1] == "line 59"
    assert "line 5\n" not in error.tail


def test_a_child_that_is_never_ready_says_what_the_probe_met() -> None:
    async def refused() -> bool:
        raise ConnectionRefusedError("nobody there")

    async def scenario() -> str:
        async with ChildProcess(python(SLEEPS)) as child:
            with pytest.raises(ProcessError, match=r"within 0\.05 s") as caught:
                await child.ready(refused, timeout_s=0.05)
            return str(caught.value)

    assert "nobody there" in asyncio.run(scenario())


def test_a_mistake_in_the_probe_is_not_taken_for_not_yet() -> None:
    async def broken() -> bool:
        raise KeyError("typo")

    async def scenario() -> None:
        async with ChildProcess(python(SLEEPS)) as child:
            with pytest.raises(KeyError):
                await child.ready(broken, timeout_s=3600)

    asyncio.run(scenario())


def test_kill_is_a_real_death() -> None:
    async def scenario() -> int:
        child = ChildProcess(python(STUBBORN))
        await child.start()
        child.kill()
        code = await child.wait()
        await child.stop()
        return code

    assert asyncio.run(scenario()) == -signal.SIGKILL


GRANDPARENT = """
    import os, subprocess, sys
    same = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
    away = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    print("pids", same.pid, away.pid, "up", flush=True)
    same.wait()
"""


def pids_in(text: str) -> list[int]:
    return [int(word) for word in text.split() if word.isdigit()]


@pytest.mark.parametrize("how", ["stop", "kill", "exit"])
def test_grandchildren_die_too_even_those_in_a_session_of_their_own(how: str) -> None:
    async def scenario() -> list[int]:
        child = ChildProcess(python(GRANDPARENT))
        await child.start()
        await child.ready(lambda: says_up(child), 30)
        same, away = pids_in(child.log_tail())
        if how == "kill":
            child.kill()
            await child.wait()
        elif how == "exit":  # its own end leaves nothing either
            os.kill(same, signal.SIGKILL)
            await child.wait()
        await child.stop()
        return [same, away] if sys.platform.startswith("linux") else [same]

    assert all(gone(pid) for pid in asyncio.run(scenario()))


PARENT = """
    import asyncio, sys
    from pathlib import Path
    from harness.process.child import ChildProcess

    async def main():
        child = ChildProcess([sys.executable, "-u", "-c", Path(sys.argv[1]).read_text()])
        await child.start()
        while "up" not in child.log_tail():
            await asyncio.sleep(0.01)
        print(child.pid, child.log_tail(), flush=True)
        await asyncio.sleep(600)

    asyncio.run(main())
"""


@pytest.mark.parametrize("code", [STUBBORN, textwrap.dedent(GRANDPARENT)], ids=["stubborn", "tree"])
def test_nothing_survives_a_harness_killed_with_sigkill(tmp_path: Path, code: str) -> None:
    script = tmp_path / "child.py"
    script.write_text(code)
    command = [PYTHON, "-c", textwrap.dedent(PARENT), str(script)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout is not None
            pids = pids_in(parent.stdout.readline().decode())
            assert pids
            assert all(alive(pid) for pid in pids)
        finally:
            parent.kill()
    assert all(gone(pid) for pid in pids)


def test_the_guard_itself_killed_takes_the_child_along() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("needs PR_SET_PDEATHSIG")

    async def scenario() -> int:
        child = ChildProcess(python(STUBBORN))
        await child.start()
        assert child._process is not None
        child._process.kill()
        await child.wait()
        assert child.pid is not None
        await child.stop()
        return child.pid

    assert gone(asyncio.run(scenario()))


def test_a_cancelled_stop_still_kills() -> None:
    async def scenario() -> int:
        child = ChildProcess(python(STUBBORN))
        await child.start()
        await child.ready(lambda: says_up(child), 30)
        stopping = asyncio.create_task(child.stop(grace_s=600))
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        await child.wait()
        assert child.pid is not None
        return child.pid

    assert gone(asyncio.run(scenario()))


def test_pipes_carry_both_ways_and_standard_error_is_the_log() -> None:
    echo = """
        import sys
        for line in sys.stdin:
            print(line.upper(), end="")
            print("e", file=sys.stderr)
    """

    async def scenario() -> tuple[bytes, str, int]:
        async with ChildProcess(python(echo), pipes=True) as child:
            child.stdin.write(b"hello\n")
            answer = await child.stdout.readline()
            child.stdin.close()
            code = await child.wait()
            assert await child.stdout.read() == b""
            return answer, child.log_tail(), code

    assert asyncio.run(scenario()) == (b"HELLO\n", "e", 0)


def test_no_pipes_unless_asked() -> None:
    async def scenario() -> None:
        async with ChildProcess(python(SLEEPS)) as child:
            with pytest.raises(ValueError, match="pipes=True"):
                _ = child.stdout

    asyncio.run(scenario())


def test_env_and_folder_are_the_ones_given(tmp_path: Path) -> None:
    async def scenario() -> str:
        code = "import os\nprint(os.getcwd(), sorted({'A', 'HOME'} & set(os.environ)))"
        async with ChildProcess(python(code), env={"A": "1"}, cwd=tmp_path) as child:
            await child.wait()
            return child.log_tail()

    assert asyncio.run(scenario()) == f"{tmp_path.resolve()} ['A']"


def test_a_log_file_is_appended_to_but_the_tail_is_of_this_run(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "engine.log"

    async def run(word: str) -> str:
        async with ChildProcess(python(f"print('{word}')"), log=log) as child:
            await child.wait()
        return child.log_tail()  # after the stop, too

    assert asyncio.run(run("first")) == "first"
    assert asyncio.run(run("second")) == "second"
    assert log.read_text() == "first\nsecond\n"


def test_secrets_of_the_environment_are_in_no_error() -> None:
    secret = "correct-horse-battery"
    code = "import os, sys; print('using', os.environ['MASTER_KEY']); sys.exit(1)"

    async def never() -> bool:
        return False

    async def scenario() -> str:
        command = [*python(code), "--api-key", "argument-secret", f"--url=http://u:{secret}@h"]
        async with ChildProcess(command, env={**os.environ, "MASTER_KEY": secret}) as child:
            with pytest.raises(ProcessError) as caught:
                await child.ready(never, 3600)
            return str(caught.value)

    text = asyncio.run(scenario())
    assert secret not in text
    assert "argument-secret" not in text
    assert "using <MASTER_KEY>" in text


@pytest.mark.parametrize(
    ("command", "cwd", "said"),
    [
        (["no-such-program-here"], None, "was not found"),
        ([PYTHON], Path("/no/such/folder"), "could not be started"),
    ],
)
def test_what_cannot_start_says_so_and_what_to_do(
    command: list[str], cwd: Path | None, said: str
) -> None:
    async def scenario() -> None:
        await ChildProcess(command, cwd=cwd).start()

    with pytest.raises(ProcessError, match=said) as caught:
        asyncio.run(scenario())
    assert caught.value.id == "process.not-started"


def test_a_file_that_is_no_program_is_told_by_the_guard(tmp_path: Path) -> None:
    script = tmp_path / "tool"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)

    async def scenario() -> None:
        await ChildProcess([script]).start()

    with pytest.raises(ProcessError, match="No such file"):
        asyncio.run(scenario())
