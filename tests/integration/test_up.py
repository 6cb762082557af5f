"""``harness up`` as another program uses it: started, read, and ended by closing its input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from harness.registry import load
from harness.stack.fleet import missing

if TYPE_CHECKING:
    from harness.stack import Tier

ROOT = Path(__file__).parents[2]
Left = Callable[[Path], dict[int, str]]
TIERS = [
    "emulated",
    pytest.param("native", marks=pytest.mark.engine("native")),
]


def up(*options: str, mark: Path, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "harness.cli", "up", "--config", str(ROOT / "config")]
    return subprocess.Popen(
        [*command, "--attached", *options],
        env={**os.environ, "HARNESS_TEST_MARK": str(mark), **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def told(child: subprocess.Popen[str]) -> Any:
    """The first JSON document on its standard output."""
    assert child.stdout is not None
    printed = ""
    for line in child.stdout:
        printed += line
        if line.startswith("}"):
            return json.loads(printed)
    pytest.fail(f"it ended without a word: {child.communicate()[1]}")


def emulators(processes: dict[int, str]) -> list[int]:
    """The emulated engines, not the guards above them."""
    return [
        pid
        for pid, words in processes.items()
        if "-m harness.engines.emulator" in words and "guard" not in words
    ]


@pytest.mark.parametrize("tier", TIERS)
def test_each_engine_is_listed_the_gateway_answers_and_who_dies_is_named(
    tmp_path: Path, bearing: Left, left_behind: Left, tier: Tier
) -> None:
    if lacking := missing(load(ROOT / "config"), tier):
        pytest.skip(f"not installed: nox -s engines -- {' '.join(lacking)}")
    child = up("--json", "--env", "--engines", tier, mark=tmp_path)
    watch = threading.Timer(120, child.kill)
    watch.start()
    try:
        facts = told(child)
        bearer = {"authorization": f"Bearer {facts['key']}"}
        models = httpx.get(f"{facts['endpoint']}/v1/models", headers=bearer, trust_env=False)
        assert models.json()["data"]
        assert facts["tier"] == tier
        keyed = {name: each for name, each in facts["engines"].items() if each["key_env"]}
        assert keyed.keys() == {"vllm", "llama-cpp-native"}  # vLLM's own page needs no key
        for name, each in keyed.items():
            key = facts["env"][each["key_env"]]
            for headers, status in (({"authorization": f"Bearer {key}"}, 200), ({}, 401)):
                asked = httpx.get(f"{each['endpoint']}/metrics", headers=headers, trust_env=False)
                assert asked.status_code == (status if name == "llama-cpp-native" else 200)
        kinds = {name: each["kind"] for name, each in facts["engines"].items()}
        real = {name for name, kind in kinds.items() if kind == "real"} - {"ollama"}
        native = {"llama-cpp-native", "valkey", "prometheus"}
        assert real == (native if tier == "native" else set())
        assert kinds["vllm"] == "emulated"
        assert all(each["version"] and each["endpoint"] for each in facts["engines"].values())
        os.kill(emulators(bearing(tmp_path))[0], signal.SIGKILL)
        assert child.stderr is not None
        died = next(line for line in child.stderr if "died" in line)
        assert re.match(r"[\w-]+ died; the rest goes on", died)
        _, errors = child.communicate(timeout=60)  # closes its input, which ends it
        assert child.returncode == 0, errors
    finally:
        watch.cancel()
        child.kill()
    assert left_behind(tmp_path) == {}


def test_a_tier_that_is_not_installed_is_refused_with_the_command_that_installs_it(
    tmp_path: Path,
) -> None:
    child = up("--engines", "full", mark=tmp_path, HARNESS_CACHE=str(tmp_path / "empty"))
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 2, errors
    assert "nox -s engines -- llama-cpp vllm valkey prometheus" in errors


def test_ctrl_c_before_it_stands_is_an_interrupt(
    tmp_path: Path, bearing: Left, left_behind: Left
) -> None:
    """A program that waits for the gateway must not take it for an orderly end."""
    child = up(mark=tmp_path)
    watch = threading.Timer(60, child.kill)
    watch.start()
    try:
        # The four engines have their processes; they and the gateway take seconds more.
        while child.poll() is None and len(emulators(bearing(tmp_path))) < 4:
            pass
        child.send_signal(signal.SIGINT)
        told, errors = child.communicate(timeout=60)
        assert (child.returncode, told, errors) == (130, "", "stopped.\n")
    finally:
        watch.cancel()
        child.kill()
    assert left_behind(tmp_path) == {}
