"""Lints any LiteLLM config.yaml, rule file or dashboard as it stands.

No source of ours is needed, LiteLLM is not imported and no socket is opened: what the pinned
LiteLLM reads and exports comes from tables that :mod:`.derive` writes from its source.
"""

from __future__ import annotations

from harness.gateway.litellm_lint.check import lint, recognises
from harness.gateway.litellm_lint.files import lint_file
from harness.gateway.litellm_lint.metrics import lint_dashboard, lint_rules
from harness.gateway.litellm_lint.rule import LITELLM_RULES

__all__ = [
    "LITELLM_RULES",
    "lint",
    "lint_dashboard",
    "lint_file",
    "lint_rules",
    "recognises",
]
