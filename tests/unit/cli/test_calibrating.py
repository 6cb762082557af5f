from __future__ import annotations

import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from harness.cli import calibrating, main
from harness.cli.explanations import text
from harness.engines.scheduler import SchedulerConfig
from harness.engines.scheduler import config as scheduler
from harness.engines.scheduler.steptime import Fitted
from harness.load.calibrate import Calibration, Comparison, Measured, Target, plan_loads, predict
from harness.load.calibrate.measuring import EXPLAINED

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = SchedulerConfig(num_blocks=100, block_size=32, max_model_len=512, max_num_seqs=8)
PRICES = Fitted(constant_s=0.01, decode_s=0.001)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["calibrate", *words])


def found() -> Calibration:
    comparisons = []
    for load in plan_loads(CONFIG, seed=0, concurrencies=(1, 4)):
        alike = [1.0] * len(load.requests)
        met = Measured.of(
            load.requests,
            seconds=1.0,
            ttft_s=alike,
            itl_s=alike,
            e2e_s=alike,
            waiting=0.0,
            preemptions=0.0,
        )
        expected = predict(CONFIG, PRICES, load, met)
        comparisons.append(Comparison(load, replace(expected, ttft_s=1.0), expected, {}))
    return Calibration("http://engine", "m", CONFIG, PRICES, tuple(comparisons), 0, 1)


@pytest.fixture
def calibrated(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `discover` was asked, instead of asking an engine for minutes."""
    asked: list[dict[str, Any]] = []

    def discover(_client: Any, url: str, **more: Any) -> Target:
        asked.append({"url": url, **more})
        return Target(url=url, model="m", config=CONFIG)

    def calibrate(*_: Any, **more: Any) -> Calibration:
        asked.append(more)
        return found()

    monkeypatch.setattr(calibrating, "discover", discover)
    monkeypatch.setattr(calibrating, "calibrate", calibrate)
    return asked


def test_it_says_how_well_it_predicts_and_what_a_step_costs(
    calibrated: list[dict[str, Any]], tmp_path: Path
) -> None:
    result = run("http://127.0.0.1:1", "--out", str(tmp_path / "c.json"), "--max-num-seqs", "8")
    assert result.exit_code == 0, result.output
    assert "1 at a time, held out" in result.stdout
    assert "Median error on loads that were not fitted: 0%" in result.stdout
    assert "constant_s 0.01" in result.stdout
    assert "planned one at a time" in result.stdout
    assert calibrated[0] == {
        "url": "http://127.0.0.1:1",
        "key": None,
        "max_num_seqs": 8,
        "max_num_batched_tokens": 2048,
    }
    assert calibrated[1]["async_scheduling"] is None
    told = json.loads((tmp_path / "c.json").read_text())
    assert told["batching"]["scheduler"]["num_blocks"] == 100


@pytest.mark.usefixtures("calibrated")
def test_what_took_minutes_is_printed_where_it_cannot_be_written(tmp_path: Path) -> None:
    out = tmp_path / "a-folder.json"
    out.symlink_to(tmp_path / "no" / "such" / "place")
    result = run("http://127.0.0.1:1", "--out", str(out))
    assert result.exit_code == 1
    assert "cannot be written: No such file" in result.stderr
    assert '"held_out_error"' in result.stdout


def test_a_server_elsewhere_is_loaded_only_with_live(calibrated: list[dict[str, Any]]) -> None:
    assert run("http://192.0.2.1:1").exit_code == 2
    assert calibrated == []
    assert run("http://192.0.2.1:1", "--live").exit_code == 0


def test_programs_get_json(calibrated: list[dict[str, Any]]) -> None:
    assert json.loads(run("http://127.0.0.1:1", "--json").stdout)["held_out_error"]["all"] == 0
    assert calibrated


def test_who_knows_how_it_plans_can_say_so(calibrated: list[dict[str, Any]]) -> None:
    assert run("http://127.0.0.1:1", "--async-scheduling").exit_code == 0
    assert calibrated[1]["async_scheduling"] is True


def test_a_provider_of_the_sources_stands_for_its_address(
    calibrated: list[dict[str, Any]],
) -> None:
    assert run("vllm", "--config", "config").exit_code == 0
    assert calibrated[0]["url"].startswith("http://")


def test_a_wrong_call_is_2_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    for words, said in (
        (("http://127.0.0.1:1", "--key-env", "NO_SUCH_KEY"), "calibrate.no-key"),
        (("http://192.0.2.1:1",), "load.target-not-live"),
        (("http://127.0.0.1:1", "--out", "/no/such/folder/c.json"), "there is no folder"),
        (("nobody", "--config", "config"), "calibrate.no-provider"),
        ((nobody,), "calibrate.no-answer"),
        (("ftp://nowhere",), "calibrate.url"),
    ):
        result = run(*words)
        assert result.exit_code == 2, result.output
        assert said in result.stderr


@pytest.mark.parametrize("id_", sorted([*EXPLAINED, *scheduler.EXPLAINED]))
def test_its_errors_are_explained(id_: str) -> None:
    shown = text(id_)
    assert shown is not None
    assert "Remedy: " in shown
