"""Rules about what the catalogue says of one model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.registry.finding import Severity
from harness.registry.rule import Hit, rule
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.registry import Registry


@rule(
    "GW173",
    severity=Severity.WARNING,
    title="A model is to answer with more tokens than it holds",
    why="Prompt and answer share the context, so an answer can never be longer than it. A server "
    "asked for that many tokens refuses the request.",
    remedy="Correct max_output, or context_length.",
    failing="""
providers.yaml: {providers: {spare: {models: [{name: tiny, served_as: tiny, context_length: 4096,
  max_output: 8192, capabilities: [chat], mode: chat, residency: always}]}}}
""",
    passing="""
providers.yaml: {providers: {spare: {models: [{name: tiny, served_as: tiny, context_length: 4096,
  max_output: 2048, capabilities: [chat], mode: chat, residency: always}]}}}
""",
)
def endless_answer(registry: Registry) -> Iterator[Hit]:
    """Models whose max_output exceeds their context_length."""
    for provider_id, provider in registry.providers.items():
        for index, model in enumerate(provider.models):
            if model.max_output is not None and model.max_output > model.context_length:
                message = (
                    f"{quoted(model.name)} holds {model.context_length} tokens and is to answer "
                    f"with {model.max_output}."
                )
                yield Hit(("providers", provider_id, "models", index, "max_output"), message)
