"""What `harness import` writes is enough for everything after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner

from harness.cli import main
from harness.contract import deviations
from harness.gate import load_policy
from harness.registry import load

if TYPE_CHECKING:
    from pathlib import Path

THEIRS = """
model_list:
  - model_name: coder
    litellm_params: {model: hosted_vllm/qwen, api_base: http://one.internal:8000/v1}
  - model_name: coder
    litellm_params: {model: hosted_vllm/qwen, api_base: http://two.internal:8000/v1}
  - model_name: small
    litellm_params: {model: openai/small, api_base: http://box.internal:9/v1, api_key: none}
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
"""


def test_an_imported_gateway_has_a_policy_and_a_ledger_of_its_own(tmp_path: Path) -> None:
    theirs, into = tmp_path / "config.yaml", tmp_path / "ours"
    theirs.write_text(THEIRS)

    done = CliRunner().invoke(main, ["import", str(theirs), "--into", str(into)])

    assert done.exit_code == 0, done.output
    providers = load(into).enabled_providers()
    rows = {gate.id for gate in load_policy(into / "gates.yaml").gates}
    assert {f"contract.{name}" for name in providers} <= rows
    ledger = deviations.load(into / "deviations.yaml")
    vllms = [name for name, provider in providers.items() if provider.type == "vllm"]
    assert len(vllms) == 2
    assert all(ledger.find(name, "error.code.type") for name in vllms)
