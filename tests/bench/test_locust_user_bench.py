"""What the Locust user costs beside the bare engine: the same closed loop, both in a process.

The timer counts CPU seconds of the process that loads, so that the compare gate holds them
against what was saved; ``share_of_bare`` in the extra info is the user's chunks per CPU-second by
those of the bare engine: of all rounds together, and the least and the most of one round. In each
round one plays after the other, for what a machine costs that others use too changes by the
minute. Nothing is asserted on time.
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
SECONDS, ROUNDS = 20, 3
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BARE = [sys.executable, str(HERE / "same_load.py")]
LOCUST = [
    *(sys.executable, "-m", "locust", "-f", str(HERE / "same_load.py"), "--headless"),
    *("--error-bar=off", "--only-summary"),
]


class Spent:
    """A clock of the CPU seconds that children say they took."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """What was spent until now."""
        return self.seconds


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server on a core of its own, where there are three; stopped at the end of the module."""
    told = [*map(str, (TOKENS, FIRST_MS, GAP_MS)), "--spread=0.5"]
    command = [sys.executable, str(HERE / "timed_server.py"), *told]
    mine = os.sched_getaffinity(0)
    apart = max(mine) if len(mine) > 2 else None
    if apart is not None:
        os.sched_setaffinity(0, {apart})
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        os.sched_setaffinity(0, mine - {apart})
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            os.sched_setaffinity(0, mine)
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


@pytest.mark.parametrize("users", [256, 1024])
@pytest.mark.benchmark(group=f"cpu: a closed loop of {SECONDS} s", timer=Spent())
def test_locust_user_beside_the_bare_engine(
    benchmark: BenchmarkFixture, url: str, users: int, tmp_path: Path
) -> None:
    spent: Spent = benchmark._timer
    bare: list[tuple[int, float]] = []
    ours: list[tuple[int, float]] = []

    def alone() -> None:
        bare.append(played([*BARE, url, str(users), str(SECONDS)]))

    def run() -> None:
        told = [f"--host={url}", f"--users={users}", f"--run-time={SECONDS}"]
        ours.append(played([*LOCUST, *told, f"--journal={tmp_path}/{len(ours)}"]))
        spent.seconds += ours[-1][1]

    benchmark.pedantic(run, setup=alone, rounds=ROUNDS)
    each = [us_an_answer(one) / us_an_answer(other) for one, other in zip(bare, ours, strict=True)]
    whole = [us_an_answer(*rounds) for rounds in (bare, ours)]
    benchmark.extra_info["streams"] = users
    benchmark.extra_info["cpu_us_an_answer"] = round(whole[1])
    benchmark.extra_info["bare_us_an_answer"] = round(whole[0])
    benchmark.extra_info["share_of_bare"] = [
        round(share, 3) for share in (whole[0] / whole[1], min(each), max(each))
    ]


def us_an_answer(*rounds: tuple[int, float]) -> float:
    """CPU microseconds an answer, over all of them."""
    return sum(cpu_s for _, cpu_s in rounds) / sum(answers for answers, _ in rounds) * 1e6
