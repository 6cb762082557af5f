"""What the Locust user costs beside the bare engine: the same closed loop, both in a process.

The timer counts CPU seconds of the process that loads, so that the compare gate holds them
against what was saved; ``share_of_bare`` in the extra info is the user's chunks per CPU-second by
those of the bare engine in the same run. Nothing is asserted on time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

TOKENS, FIRST_MS, GAP_MS = 64, 100, 20
SECONDS = 20
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BARE = [sys.executable, str(HERE / "same_load.py")]
LOCUST = [
    *(sys.executable, "-m", "locust", "-f", str(HERE / "same_load.py"), "--headless"),
    *("--error-bar=off", "--only-summary"),
]

bare: dict[int, float] = {}


class Spent:
    """A clock of the CPU seconds that children say they took."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """What was spent until now."""
        return self.seconds


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server on two cores; stopped at the end of the module."""
    told = [*map(str, (TOKENS, FIRST_MS, GAP_MS)), "--spread=0.5", "--processes=2"]
    command = [sys.executable, str(HERE / "timed_server.py"), *told]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


def played(command: list[str]) -> tuple[int, float]:
    """Answers and CPU seconds of one run."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)])}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if line.startswith("answers ")]
    assert len(said) == 1, done.stdout + done.stderr
    _, answers, _, cpu_s = said[0].split()
    return int(answers), float(cpu_s)


def report(benchmark: BenchmarkFixture, users: int, command: list[str]) -> float:
    """Run it and return chunks per CPU-second."""
    spent: Spent = benchmark._timer
    answers = 0

    def run() -> None:
        nonlocal answers
        found, cpu_s = played(command)
        answers += found
        spent.seconds += cpu_s

    before_s = spent.seconds
    benchmark.pedantic(run, rounds=1)
    rate = answers * TOKENS / (spent.seconds - before_s)
    benchmark.extra_info["streams"] = users
    benchmark.extra_info["chunks_per_cpu_s"] = round(rate)
    benchmark.extra_info["cpu_us_an_answer"] = round(TOKENS / rate * 1e6)
    return rate


levels = pytest.mark.parametrize("users", [256, 1024])
timed = pytest.mark.benchmark(group="cpu: a closed loop of 20 s", timer=Spent())


@levels
@timed
def test_bare_engine(benchmark: BenchmarkFixture, url: str, users: int) -> None:
    bare[users] = report(benchmark, users, [*BARE, url, str(users), str(SECONDS)])


@levels
@timed
def test_locust_user(benchmark: BenchmarkFixture, url: str, users: int, tmp_path: Path) -> None:
    rounds = iter(range(100))

    told = [f"--host={url}", f"--users={users}", f"--run-time={SECONDS}"]
    rate = report(benchmark, users, [*LOCUST, *told, f"--journal={tmp_path}/j{next(rounds)}"])
    if users in bare:
        benchmark.extra_info["share_of_bare"] = round(rate / bare[users], 3)
