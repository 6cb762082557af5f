from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.installs import KNOWN
from harness.gateway import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Oracle = Callable[[dict[str, Any]], dict[str, Any]]

ROOT = Path(__file__).parents[2]
ORACLE = Path(__file__).with_name("router_oracle.py")
LIMITS = {"rpm", "tpm", "max_parallel_requests", "optional_pre_call_checks"}
INDEPENDENT = {"num_retries": 0, "disable_cooldowns": True}
"""Without limits, retries and cooldowns no answer of the Router depends on the one before."""


ENGINES = ("llama-cpp", "vllm", "valkey", "prometheus", "native", "full")
LENIENCY = 20
SLOW = {"vllm": "vllm", "full": "full"}
"""A minute each, so only where they are asked for: by the argument of `nox -s integration`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        action="append",
        default=[],
        choices=ENGINES,
        help="run the tests that rest on this real engine, or on this tier of them, and no others",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "engine(name): rests on a real engine or a tier of them")
    config.addinivalue_line("markers", "apart: long, and shares nothing with its module")


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --engine keep what is marked with it; without, leave out what takes minutes.

    Workers (``--dist=loadgroup``) take a module whole, for its tests share what it has started,
    but for those marked ``apart``: any worker may take such a one, and they come first.
    """
    asked = set(config.getoption("--engine"))
    named = {item: {mark.args[0] for mark in item.iter_markers("engine")} for item in items}
    for item, names in named.items():
        if not asked and (slow := names & SLOW.keys()):
            how = f"nox -s integration -- {SLOW[min(slow)]}"
            item.add_marker(pytest.mark.skip(reason=f"takes a minute: {how}"))
    if asked:
        left = [item for item in items if not named[item] & asked]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if named[item] & asked]
    for item in items:
        if item.get_closest_marker("apart") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: item.get_closest_marker("apart") is None)


@pytest.fixture
def program() -> Callable[[str, str], Path]:
    """The path of a program of an installed engine; skips the test where it is not."""

    def find(installation: str, name: str) -> Path:
        if not KNOWN[installation].installed():
            pytest.skip(f"not installed: nox -s engines -- {installation}")
        return KNOWN[installation].program(name)

    return find


@pytest.fixture(scope="session", autouse=True)
def _gateway_installed() -> None:
    """The real LiteLLM; a missing one is built, which a second session does not repeat."""
    environment.install()


@pytest.fixture(scope="session")
def shipped() -> Callable[[Path], Path]:
    """Copies the shipped configuration, with limits of latency that a busy machine keeps too.

    How fast this machine is while tests run is no defect; `nox -s gate` judges by what is shipped.
    """

    def copy(folder: Path) -> Path:
        shutil.copytree(ROOT / "config", folder)
        gates = folder / "gates.yaml"
        text, found = re.subn(
            r"(?<=max: )\d+(?=, unit: ms)",
            lambda limit: str(int(limit[0]) * LENIENCY),
            gates.read_text(),
        )
        assert found > 1
        gates.write_text(text)
        return folder

    return copy


@pytest.fixture
def config(tmp_path: Path, shipped: Callable[[Path], Path]) -> Path:
    """A copy of the shipped configuration that a test may break."""
    return shipped(tmp_path / "config")


@pytest.fixture
def bearing() -> Callable[[Path], dict[int, str]]:
    """Processes that have a path in their command or environment, the whole machine over."""

    def find(mark: Path) -> dict[int, str]:
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes()
                if str(mark).encode() in words + (entry / "environ").read_bytes():
                    found[int(entry.name)] = words.replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
        return {pid: words for pid, words in found.items() if pid != os.getpid()}

    return find


@pytest.fixture
def left_behind(
    bearing: Callable[[Path], dict[int, str]],
) -> Callable[[Path], dict[int, str]]:
    """Processes that still bear a mark after a reasonable time to go."""

    def wait(mark: Path) -> dict[int, str]:
        for _ in range(300):
            if not bearing(mark):
                break
            time.sleep(0.1)
        return bearing(mark)

    return wait


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    """Puts one line to ``router_oracle.py``, in LiteLLM's own interpreter; its answer.

    A module has one such process: it takes seconds to start, and each line has a new Router.
    """
    command = [environment.location() / "bin" / "python", ORACLE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def put(line: dict[str, Any]) -> dict[str, Any]:
            process.stdin.write(json.dumps(line) + "\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            return answer

        yield put
        process.stdin.close()  # it ends with its input


@pytest.fixture(scope="module")
def router(oracle: Oracle) -> Callable[..., dict[str, Any]]:
    """Asks the real ``litellm.Router`` questions to one configuration.

    Called with a configuration, the questions of ``router_oracle.py``, and settings that go
    before those of the configuration.
    """

    def ask(
        config: dict[str, Any], questions: list[dict[str, Any]], **settings: Any
    ) -> dict[str, Any]:
        models = [
            {**entry, "litellm_params": _without(entry["litellm_params"], LIMITS)}
            for entry in config["model_list"]
        ]
        stated = _without(config["router_settings"], LIMITS)
        return oracle(
            {
                "model_list": models,
                "router_settings": stated | INDEPENDENT | settings,
                "ask": questions,
            }
        )

    return ask


def _without(table: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}
