"""Two deployments under one name, and names behind them: who answers when both are dead."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from harness.chaos import kill_matrix
from harness.evidence import Verdict
from harness.gate import draft_policy
from harness.gateway.litellm_import import import_config
from harness.registry import load
from harness.routing import Route, resolve
from harness.session import Options, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.apart

HAND_WRITTEN = """
model_list:
- model_name: coder
  litellm_params: {model: hosted_vllm/qwen, api_base: "http://127.0.0.1:8001/v1"}
- model_name: coder
  litellm_params: {model: hosted_vllm/qwen, api_base: "http://127.0.0.1:8002/v1"}
- model_name: gpt-4o-mini
  litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/OPENAI_API_KEY}
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 1
  enable_pre_call_checks: true
  fallbacks: [{coder: [gpt-4o-mini]}]
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
"""


def test_names_behind_a_balanced_group_answer_once_all_its_members_are_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every set of its providers dead, through the real proxy: who answers is who is predicted."""
    monkeypatch.setattr(kill_matrix, "ASKS", 4)
    config = tmp_path / "config"
    config.mkdir()
    for name, text in import_config(HAND_WRITTEN).sources.items():
        (config / name).write_text(text)
    registry = load(config)
    (config / "gates.yaml").write_text(draft_policy(registry))
    (config / "deviations.yaml").write_text("deviations: []\n")
    options = Options(config=config, out=tmp_path / "out", phases=("fallback",))
    outcome = asyncio.run(run(options))
    assert outcome.trouble == ""
    cells = [one for one in outcome.evidence if one.check == "fallback.kill-matrix"]
    assert [one for one in cells if one.verdict is not Verdict.PASS] == []
    answered = {}
    for one in cells:
        down = one.subject.removeprefix("coder [down: ").removesuffix("]").split(", ")
        route = resolve(registry, "coder", down=down)
        predicted = {d.provider for d in route.expected()} if isinstance(route, Route) else {""}
        answered[tuple(down)] = seen = {*str(one.value).split(" | ")}
        assert seen <= predicted or (predicted == {""} and "error" in str(seen))
    assert len(answered) == 2**3
    assert answered["vllm", "vllm-2"] == {"openai"}
