"""``locust -f loadtests/`` as a person types it, only without its page and shorter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from harness.process.ports import free_port

ROOT = Path(__file__).parents[2]
Left = Callable[[Path], dict[int, str]]


def locust(*options: str, mark: Path) -> subprocess.CompletedProcess[str]:
    brief = ["--headless", "--users=2", "--spawn-rate=2", "--run-time=4s", "--only-summary"]
    return subprocess.run(
        [sys.executable, "-m", "locust", "-f", "loadtests/", *brief, *options],
        cwd=ROOT,
        env={**os.environ, "HARNESS_TEST_MARK": str(mark)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def test_without_a_host_it_brings_its_own_gateway_and_takes_it_away(
    tmp_path: Path, left_behind: Left
) -> None:
    done = locust(mark=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "TTFT" in done.stderr + done.stdout
    assert left_behind(tmp_path) == {}


def test_answers_that_are_not_whole_are_failures_and_set_the_exit_code(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    done = locust(f"--host={nobody}", "--gateway-key=sk-test", mark=tmp_path)
    assert done.returncode == 1
    assert "BrokenAnswerError" in done.stderr + done.stdout
