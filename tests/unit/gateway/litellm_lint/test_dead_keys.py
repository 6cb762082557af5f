"""What is proposed in place of a key that nobody reads."""

from __future__ import annotations

import pytest

from harness.gateway.litellm_lint.check import judge
from harness.gateway.litellm_lint.examples import complete
from harness.gateway.litellm_lint.reader import read_yaml


def remedy(text: str) -> str:
    (finding,) = judge(read_yaml("config.yaml", complete(text)))
    return finding.remedy


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("num_retires", "num_retries"),
        ("cooldown_tim", "cooldown_time"),
        ("allowed_fail", "allowed_fails"),
        ("content_window_fallbacks", "context_window_fallbacks"),
        ("fallback", "fallbacks"),
    ],
)
def test_a_slip_in_the_router_s_settings_gets_the_nearest_key(written: str, meant: str) -> None:
    text = f"router_settings: {{num_retries: 0, allowed_fails: 1, {written}: 1}}"
    assert remedy(text) == f"Did you mean '{meant}'?"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("api_bas", "api_base"),
        ("max_token", "max_tokens"),
        ("time_out", "timeout"),
        ("stream_timout", "stream_timeout"),
        ("input_cost_per_tokens", "input_cost_per_token"),
        ("output_cost_per_tokne", "output_cost_per_token"),
    ],
)
def test_a_slip_at_a_deployment_gets_the_nearest_key(written: str, meant: str) -> None:
    text = f"""
model_list:
  - model_name: chat
    litellm_params: {{model: openai/gpt-4o, {written}: x}}
    model_info: {{mode: chat}}
"""
    assert remedy(text) == f"Did you mean '{meant}'?"
