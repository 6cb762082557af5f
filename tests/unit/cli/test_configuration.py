from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
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
    assert {"id", "severity", "file", "line", "column", "message", "remedy"} <= set(first)


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


@pytest.mark.parametrize(
    "command",
    [
        "",
        *[
            "init",
            "import",
            "validate",
            "lint",
            "explain",
            "plan",
            "generate",
            "backup",
            "run",
            "report",
            "up",
        ],
    ],
)
def test_every_command_has_help(command: str) -> None:
    result = harness(*([command] if command else []), "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_an_unknown_option_is_a_usage_error() -> None:
    assert harness("run", "--no-such-option").exit_code == 2


def test_a_finding_is_shown_with_its_line_and_a_caret(config: Path) -> None:
    ports = config / "ports.yaml"
    ports.write_text(ports.read_text().replace("port: 4000", "port: fourthousand"))
    lines = harness("validate", "--config", config).stderr.splitlines()
    shown = next(number for number, line in enumerate(lines) if "fourthousand" in line)
    assert re.fullmatch(r"\s*\|\s*\^+", lines[shown + 1])


@pytest.mark.parametrize(
    ("form", "sign"), [("json", '"findings"'), ("sarif", '"2.1.0"'), ("github", "::error file=")]
)
def test_findings_come_in_the_formats_of_programs_on_standard_output(
    config: Path, form: str, sign: str
) -> None:
    (config / "ports.yaml").write_text("host: 127.0.0.1\n")
    result = harness("validate", "--config", config, "--format", form)
    assert result.exit_code == 2
    assert sign in result.stdout


def test_fix_shows_the_change_and_puts_a_slip_of_the_pen_right(config: Path) -> None:
    mappings = config / "model-mappings.yaml"
    good = mappings.read_text()
    mappings.write_text(good.replace("  allowed_fails: 1", "  alowed_fails: 1"))
    result = harness("validate", "--config", config, "--fix")
    assert result.exit_code == 0, result.output
    assert "-  alowed_fails: 1" in result.stderr
    assert mappings.read_text() == good, "comments and everything else stay"


def test_a_newcomer_lints_a_litellm_file_without_our_sources(tmp_path: Path) -> None:
    theirs = tmp_path / "config.yaml"
    theirs.write_text("model_list: []\nqueue_config: {max_queue_size: 1000}\n")
    result = harness("lint", theirs)
    assert result.exit_code == 1
    assert re.search(r"config\.yaml:2:1  GW2\d\d", result.stderr)


def test_lint_fixes_a_litellm_file_and_keeps_its_comments(tmp_path: Path) -> None:
    theirs = tmp_path / "config.yaml"
    text = (
        "model_list:\n"
        "  - model_name: chat  # what clients ask for\n"
        "    litellm_params:\n"
        "      model: openai/gpt-4o\n"
        "      api_key: ${OPENAI_API_KEY}\n"
    )
    theirs.write_text(text)
    result = harness("lint", theirs, "--fix")
    assert f"--- a/{str(theirs).removeprefix('/')}\n" in result.stderr
    assert "-      api_key: ${OPENAI_API_KEY}\n" in result.stderr
    assert theirs.read_text() == text.replace("${OPENAI_API_KEY}", "os.environ/OPENAI_API_KEY")
    assert "nothing to fix." in harness("lint", theirs, "--fix").stderr


def test_an_interrupted_replacement_is_ended_before_a_plan_is_made(config: Path) -> None:
    (config / "model-mappings.yaml").write_text(
        (config / "model-mappings.yaml").read_text().replace("allowed_fails: 1", "allowed_fails: 2")
    )
    dies = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from harness.gateway.backup import replace
from harness.gateway.litellm_config import compile_files
from harness.registry import load
config = Path(sys.argv[1])
replace(config, compile_files(load(config)), now=datetime.now(UTC),
        step=lambda step: step.startswith("replace ") and os._exit(9))
"""
    assert subprocess.run([sys.executable, "-c", dies, config], check=False).returncode == 9
    assert (config / ".backups" / "journal").is_dir()
    assert harness("plan", "--config", config).exit_code == 0, "the swap went on to its end"
    assert harness("generate", "--check", "--config", config).exit_code == 0


def test_our_generated_file_lints_without_an_error() -> None:
    result = harness("lint", ROOT / "config" / "litellm-unified.yaml")
    assert result.exit_code == 0, result.output


def test_plan_tells_a_lost_fallback_and_leaves_with_2(config: Path) -> None:
    assert harness("plan", "--config", config).exit_code == 0
    mappings = config / "model-mappings.yaml"
    chain = "coder: [qwen-coder-vllm, llama-cpp-llama3.1, qwen2.5-coder:7b]"
    assert chain in mappings.read_text()
    shorter = "coder: [qwen-coder-vllm, llama-cpp-llama3.1]"
    mappings.write_text(mappings.read_text().replace(chain, shorter))
    result = harness("plan", "--config", config)
    assert result.exit_code == 2, result.output
    assert re.search(r"qwen-coder-vllm\n\s+loses its second fallback", result.output)


def test_generate_keeps_what_it_replaces_and_restore_brings_it_back(config: Path) -> None:
    generated = config / "litellm-unified.yaml"
    before = generated.read_text()
    mappings = config / "model-mappings.yaml"
    mappings.write_text(mappings.read_text().replace("cooldown_s: 3", "cooldown_s: 4"))
    assert "kept as backup" in harness("generate", "--config", config).output
    assert generated.read_text() != before
    assert harness("backup", "verify", "--config", config).exit_code == 0
    (name,) = re.findall(r"^(\S+)", harness("backup", "list", "--config", config).output)
    assert harness("backup", "restore", name, "--config", config).exit_code == 0
    assert generated.read_text() == before


def test_a_litellm_file_is_imported_and_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    into = tmp_path / "sources"
    theirs = ROOT / "config" / "litellm-unified.yaml"
    result = harness("import", theirs, "--into", into)
    assert result.exit_code == 0, result.output
    assert harness("validate", "--config", into).exit_code == 0
    again = harness("import", theirs, "--into", into)
    assert again.exit_code == 2
    assert "nothing is overwritten" in again.stderr


def test_init_without_an_address_asks_for_one() -> None:
    assert harness("init").exit_code == 2


def test_explain_route_passes_over_what_is_too_small() -> None:
    result = harness("explain", "route", "code", "--config", ROOT / "config", "--context", 6000)
    assert result.exit_code == 0
    assert "passed over: takes 4096 tokens, 6000 are needed" in result.output
    assert "answered by llama-cpp-native" in result.output
