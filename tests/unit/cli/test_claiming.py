from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli import main

CONFIG = Path(__file__).parents[3] / "config"


def claims(tmp_path: Path, *options: str, config: Path = CONFIG) -> Result:
    run = ["--config", str(config), "--out", str(tmp_path / "out"), "--run", str(tmp_path)]
    return CliRunner().invoke(main, ["claims", *run, *options])


def test_a_claim_is_printed_with_its_words_its_place_and_why(tmp_path: Path) -> None:
    result = claims(tmp_path, "--only", "vram-each", "--only", "vram-used")
    assert result.exit_code == 0, result.output
    assert '"85% utilization, ~12.6GB VRAM used"' in result.stdout
    assert "000_2a4404fee64e8377.txt:61" in result.stdout
    assert "6.46 GiB, and 12 to 13 GiB was claimed" in result.stdout
    assert "12.56 GiB" in result.stdout
    assert "2 claims: 1 not run, 1 refuted" in result.stdout


def test_a_single_reading_can_be_asked_for(tmp_path: Path) -> None:
    result = claims(tmp_path, "--only", "concurrency-33x.speed-at-best", "--json")
    told = json.loads(result.stdout)
    assert [each["id"] for each in told["claims"]] == ["concurrency-33x"]
    assert told["claims"][0]["status"] == "refuted"
    assert told["evidence"][0]["value"] == pytest.approx(12.7, abs=0.05)


def test_the_list_measures_nothing(tmp_path: Path) -> None:
    result = claims(tmp_path, "--list")
    assert result.exit_code == 0
    assert "concurrency-33x" in result.stdout
    assert ".answer-heavy" in result.stdout
    assert not (tmp_path / "out").exists()
    assert len(json.loads(claims(tmp_path, "--list", "--json").stdout)) > 40


def test_an_unknown_claim_is_a_usage_error(tmp_path: Path) -> None:
    result = claims(tmp_path, "--only", "conccurency")
    assert result.exit_code == 2
    assert "no claim 'conccurency'" in result.stderr


def test_broken_claims_are_shown_by_their_line(tmp_path: Path) -> None:
    config = tmp_path / "config"
    shutil.copytree(CONFIG, config)
    path = config / "claims.yaml"
    path.write_text(path.read_text().replace("    line: 120\n", "    lime: 120\n"))
    result = claims(tmp_path, config=config)
    assert result.exit_code == 2
    assert "lime" in result.stderr


def test_it_is_explained() -> None:
    for name in ("claims.unknown", "capacity.no-room", "capacity.setting"):
        result = CliRunner().invoke(main, ["explain", name])
        assert result.exit_code == 0, result.output
        assert "Remedy" in result.stdout
