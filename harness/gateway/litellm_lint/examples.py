"""The least LiteLLM file without a finding, from which the examples of the rules are completed."""

from __future__ import annotations

import re

BASE = {
    "model_list": """
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
  - model_name: backup
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: os.environ/ANTHROPIC_API_KEY}
    model_info: {mode: chat}
""",
    "router_settings": """
router_settings: {num_retries: 0, allowed_fails: 1, cooldown_time: 5}
""",
    "litellm_settings": """
litellm_settings: {request_timeout: 60}
""",
    "general_settings": """
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
""",
}
"""By part of the file: what an example that does not mention the part is completed with."""

MARKER = re.compile(r" *# <--$", re.MULTILINE)


def complete(example: str) -> bytes:
    """The whole file that ``example`` stands for; its lines keep their numbers."""
    text = example.strip("\n") + "\n"
    missing = [part for key, part in BASE.items() if not re.search(rf"^{key}:", text, re.MULTILINE)]
    return MARKER.sub("", text + "".join(missing)).encode()


def marked(example: str) -> list[int]:
    """The numbers of the lines that end in ``# <--``."""
    lines = example.strip("\n").splitlines()
    return [number for number, line in enumerate(lines, start=1) if MARKER.search(line)]
