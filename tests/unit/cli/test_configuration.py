from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli import main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    copy = tmp_path / "config"
    shutil.copytree(ROOT / "config", copy)
    return copy


def harness(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_shipped_sources_are_valid() -> None:
    result = harness("validate", "--config", ROOT / "config")
    assert result.exit_code == 0
    assert "valid" in result.output


def test_every_broken_line_is_named_at_once_with_its_remedy_and_code_2(config: Path) -> None:
    mappings = config / "model-mappings.yaml"
    mappings.write_text(mappings.read_text().replace("retries: 0", "retrys: zero"))
    ports = config / "ports.yaml"
    ports.write_text(ports.read_text().replace("port: 4000", "port: '4000'"))
    result = harness("validate", "--config", config)
    assert result.exit_code == 2
    assert re.search(r"model-mappings\.yaml:\d+:\d+  GW\d+ ", result.stderr)
    assert re.search(r"ports\.yaml:\d+:\d+  GW\d+ ", result.stderr)
    assert "retries" in result.stderr, "the near name is the remedy"


def test_findings_as_json_carry_id_place_and_remedy(config: Path) -> None:
    (config / "ports.yaml").write_text("host: 127.0.0.1\n")
    result = harness("validate", "--config", config, "--json")
    assert result.exit_code == 2
    (first, *_) = json.loads(result.stdout)["findings"]
    assert set(first) == {"id", "severity", "file", "line", "column", "message", "remedy"}


def test_a_folder_without_sources_is_a_configuration_error(tmp_path: Path) -> None:
    result = harness("validate", "--config", tmp_path)
    assert result.exit_code == 2
    assert "providers.yaml" in result.stderr


def test_generate_writes_once_and_then_has_nothing_to_do(config: Path) -> None:
    (config / "litellm-unified.yaml").unlink()
    assert "written" in harness("generate", "--config", config).output
    assert "nothing changed" in harness("generate", "--config", config).output
    assert harness("generate", "--config", config, "--check").exit_code == 0


def test_generate_check_finds_a_hand_edit_at_its_line_and_writes_nothing(config: Path) -> None:
    path = config / "litellm-unified.yaml"
    edited = path.read_text().replace("cooldown_time: 3.0", "cooldown_time: 60")
    path.write_text(edited)
    result = harness("generate", "--config", config, "--check")
    assert result.exit_code == 1
    assert re.search(r"litellm-unified\.yaml:\d+:1  GW900 .*cooldown_time: 60", result.stderr)
    assert path.read_text() == edited


def test_the_committed_generated_files_are_current() -> None:
    result = harness("generate", "--config", ROOT / "config", "--check")
    assert result.exit_code == 0, result.output


def test_explain_prints_the_decision_and_the_order() -> None:
    result = harness("explain", "qwen-coder-vllm", "--config", ROOT / "config")
    assert result.exit_code == 0
    order = re.findall(r"^  \d\. (\S+) /", result.output, re.MULTILINE)
    assert order == ["vllm", "llama-cpp-native", "ollama"]
    assert "answered by vllm" in result.output


def test_explain_with_a_provider_down_names_the_next() -> None:
    result = harness("explain", "code", "--config", ROOT / "config", "--down", "vllm")
    assert "answered by llama-cpp-native" in result.output


def test_explain_refuses_with_near_names_and_code_1() -> None:
    result = harness("explain", "qwen-coder-vlm", "--config", ROOT / "config")
    assert result.exit_code == 1
    assert "Did you mean qwen-coder-vllm" in result.output


def test_explain_does_not_take_an_unknown_provider_for_dead() -> None:
    result = harness("explain", "code", "--config", ROOT / "config", "--down", "vlm")
    assert result.exit_code == 2
    assert "no provider called vlm" in result.stderr


@pytest.mark.parametrize(
    "name", ["GW101", "GW900", "stream.done.last", "contract.stream.done.last"]
)
def test_explain_knows_rules_and_checks_by_id(name: str) -> None:
    result = harness("explain", name)
    assert result.exit_code == 0
    assert len(result.output) > 100


@pytest.mark.parametrize("command", ["", "validate", "generate", "explain", "run", "report", "up"])
def test_every_command_has_help(command: str) -> None:
    result = harness(*([command] if command else []), "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_an_unknown_option_is_a_usage_error() -> None:
    assert harness("run", "--no-such-option").exit_code == 2
