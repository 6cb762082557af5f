"""The main job on real engines, and what may go wrong with them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.engines.real import ollama_server
from harness.engines.real.ollama_facade import OllamaFacade
from harness.evidence import Verdict
from harness.registry import load
from harness.session import Options, Outcome, Rehearsal, run
from harness.stack.fleet import missing

if TYPE_CHECKING:
    from harness.stack import Stack, Tier

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.apart
Left = Callable[[Path], dict[int, str]]
TIERS = [
    pytest.param("native", marks=pytest.mark.engine("native")),
    pytest.param("full", marks=pytest.mark.engine("full")),
]


def require(tier: Tier) -> None:
    if lacking := missing(load(ROOT / "config"), tier):
        pytest.skip(f"not installed: nox -s engines -- {' '.join(lacking)}")


def job(config: Path, tier: Tier, rehearsal: Rehearsal | None = None, *phases: str) -> Outcome:
    require(tier)
    options = Options(config=config, out=config.parent / "out", tier=tier, phases=phases)
    return asyncio.run(run(options, rehearsal=rehearsal))


@pytest.mark.parametrize("tier", TIERS)
def test_the_shipped_configuration_passes_on_real_engines(config: Path, tier: Tier) -> None:
    outcome = job(config, tier)
    assert outcome.trouble == ""
    red = {row.id: row.reasons for row in outcome.report.rows if row.verdict is not Verdict.PASS}
    assert red == {}
    kinds = {one.subject: one.engine for one in outcome.evidence if one.recordings}
    assert kinds["llama-cpp-native"] == kinds["gateway:llama-cpp-llama3.1"] == "real"
    assert kinds["ollama"] == ("emulated" if ollama_server.found() is None else "real")
    assert kinds["qwen-coder-vllm [down: none]"] == "mixed"
    assert (
        kinds["vllm"] == outcome.run.engines["vllm"] == ("real" if tier == "full" else "emulated")
    )
    assert outcome.run.versions["llama-cpp-native"].startswith("llama-server ")
    assert all(f"--engines {tier}" in one.replay for one in outcome.evidence)


@pytest.mark.engine("native")
@pytest.mark.parametrize("victim", ["llama-cpp-native", "ollama-llama-server"])
def test_an_engine_that_is_killed_is_named_with_its_last_lines(config: Path, victim: str) -> None:
    async def murder(stack: Stack) -> None:
        facade = stack.engines["ollama"]
        if victim in stack.engines:
            engine = stack.engines[victim]
        elif isinstance(facade, OllamaFacade):
            engine = facade.server
        else:
            pytest.skip("this machine has an Ollama of its own, so there is no facade")
        engine.kill()
        await engine.gone()

    outcome = job(config, "native", Rehearsal(stack=murder), "access")
    assert outcome.exit_code == 1
    assert re.search(rf"died while the run went on: {victim}\.", outcome.trouble)
    assert "listening" in outcome.trouble


@pytest.mark.engine("native")
def test_metrics_that_nobody_reads_turn_their_row_red(config: Path) -> None:
    async def forget(stack: Stack) -> None:
        prometheus = stack.prometheus()
        assert prometheus is not None
        prometheus.targets = prometheus.targets[1:]
        await prometheus.restart()
        await prometheus.ready()
        prometheus.targets = (*prometheus.targets, *stack._targets()[:1])

    outcome = job(config, "native", Rehearsal(stack=forget), "monitoring")
    (row,) = outcome.report.rows
    assert row.verdict is Verdict.FAIL
    assert "no such target" in row.reasons[0].text


def command(*arguments: str, mark: Path, cache: Path | None = None) -> subprocess.Popen[str]:
    environ = {**os.environ, "HARNESS_TEST_MARK": str(mark)}
    if cache is not None:
        environ["HARNESS_CACHE"] = str(cache)
    return subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "run", "--config", str(ROOT / "config"), *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_tier_that_is_not_installed_ends_with_2_before_anything_is_started(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    child = command(
        "--engines", "full", "--out", str(out), mark=tmp_path, cache=tmp_path / "empty cache"
    )
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 2, errors
    assert "nox -s engines -- llama-cpp vllm valkey prometheus" in errors
    assert "Traceback" not in errors
    assert not out.exists()


@pytest.mark.engine("native")
def test_an_interrupted_run_leaves_no_real_server(
    tmp_path: Path, bearing: Left, left_behind: Left
) -> None:
    require("native")
    child = command("--engines", "native", "--out", str(tmp_path / "out"), mark=tmp_path)
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("start "):
            break
    there = " ".join(bearing(tmp_path).values())
    for name in ("llama-server", "valkey-server", "prometheus", "litellm"):
        assert name in there
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert left_behind(tmp_path) == {}
