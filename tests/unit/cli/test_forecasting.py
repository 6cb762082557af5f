from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from harness.cli import main
from harness.engines.scheduler.presets import preset

if TYPE_CHECKING:
    from pathlib import Path


def forecast(*options: str) -> Result:
    return CliRunner().invoke(main, ["forecast", "--duration", "5m", "--runs", "2", *options])


def test_a_fleet_that_keeps_up_is_0_and_the_claimed_capacity_is_shown() -> None:
    result = forecast("--rate", "0.3")
    assert result.exit_code == 0, result.output
    assert "137,744 tokens each, 33.63 requests of 4,096" in result.stdout
    assert "TTFT p95" in result.stdout


def test_one_that_does_not_keep_up_is_1_and_says_so() -> None:
    result = forecast("--rate", "30")
    assert result.exit_code == 1
    assert "does not keep up" in result.stderr


def test_programs_get_every_run() -> None:
    told = json.loads(forecast("--rate", "0.3", "--json").stdout)
    assert told["keeps_up"] is True
    assert len(told["runs"]) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--engine", "nowhere.json"), "neither a preset"),
        (("--duration", "soon"), "write 90s"),
        (("--prompt", "9000"), "do not fit"),
        (("--rate", "0"), "range"),
        (("--spread", "1e9"), "range"),
        (("--rate", "1e9", "--duration", "1d"), "simulate at most 20,000,000"),
        (("--rate", "inf"), "rate_per_s is inf"),
    ],
)
def test_a_wrong_call_is_2_with_a_remedy(options: tuple[str, ...], said: str) -> None:
    result = forecast(*options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_file_that_is_no_calibration_is_2(tmp_path: Path) -> None:
    wrong = tmp_path / "c.json"
    wrong.write_text('{"batching": {"step_time": {"kind": "guess"}, "scheduler": {}}}')
    result = forecast("--engine", str(wrong))
    assert result.exit_code == 2
    assert "harness calibrate" in result.stderr


def test_what_calibrate_writes_is_an_engine(tmp_path: Path) -> None:
    engine = preset("cpu-tiny")
    batching = {"scheduler": engine.scheduler.to_json(), "step_time": engine.step_time.to_json()}
    (tmp_path / "c.json").write_text(json.dumps({"model": "m", "batching": batching}))
    told = json.loads(forecast("--engine", str(tmp_path / "c.json"), "--json").stdout)
    assert told["engine"] == f"calibrated, {tmp_path / 'c.json'}"
