"""The table of all rules about files of LiteLLM, Prometheus and Grafana."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.registry.rule import RULES, Rules

if TYPE_CHECKING:
    from harness.gateway.litellm_lint.config import Config

LITELLM_RULES: Rules[Config] = Rules(beside=RULES)
"""Every such rule by its id; none bears the id of a rule of the sources.

``failing`` and ``passing`` are files; a part of the file that they do not mention is taken from
:data:`harness.gateway.litellm_lint.examples.BASE`. In ``failing`` the lines that are reported end
in ``# <--``.
"""
declare = LITELLM_RULES.declare
rule = LITELLM_RULES.rule
