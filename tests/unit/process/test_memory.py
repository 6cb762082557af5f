from __future__ import annotations

import asyncio
import sys

import pytest

from harness.process.child import ChildProcess
from harness.process.memory import members, proportional_set_size

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
MIB = 1024 * 1024
SLEEPER = "import sys; held = b'x' * {size}; print('held', flush=True); sys.stdin.read()"
PARENT = (
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {sleeper!r}], "
    "stdin=subprocess.PIPE, stdout=subprocess.PIPE); child.stdout.readline(); "
    "print('held', flush=True); sys.stdin.read()"
)


def measured(code: str) -> tuple[int, int]:
    """Bytes and number of processes of a child that runs ``code`` and says when it is ready."""

    async def main() -> tuple[int, int]:
        async with ChildProcess([sys.executable, "-c", code], pipes=True) as child:
            await child.stdout.readline()
            assert child.pid is not None
            return proportional_set_size(child.pid), len(members(child.pid))

    return asyncio.run(main())


def test_memory_a_process_holds_is_counted() -> None:
    small, _ = measured(SLEEPER.format(size=1))
    large, count = measured(SLEEPER.format(size=64 * MIB))
    assert count == 1
    assert 60 * MIB < large - small < 68 * MIB


def test_what_its_children_hold_is_counted_too() -> None:
    code = PARENT.format(sleeper=SLEEPER.format(size=64 * MIB))
    held, count = measured(code)
    assert count == 2
    assert held > 64 * MIB


def test_a_session_that_is_gone_holds_nothing() -> None:
    async def main() -> int:
        async with ChildProcess([sys.executable, "-c", "pass"]) as child:
            await child.wait()
            assert child.pid is not None
            return child.pid

    assert proportional_set_size(asyncio.run(main())) == 0
