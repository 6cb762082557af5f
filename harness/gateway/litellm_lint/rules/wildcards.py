"""Rules about names with a star: what it stands for is known where it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.gateway.litellm_lint.config import FALLBACKS
from harness.gateway.litellm_lint.rule import rule
from harness.registry.finding import Severity
from harness.registry.rule import Hit
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config


@rule(
    "GW239",
    severity=Severity.WARNING,
    title="A wildcard goes on after its star",
    why="LiteLLM does not anchor the end of the pattern: w/*-chat takes w/q-chat-extra too, as q "
    "(litellm#42090).",
    remedy="End the name in '*', or write the names out.",
    failing="""
model_list:
  - model_name: local/*-chat  # <--
    litellm_params: {model: ollama_chat/*, api_base: "http://localhost:11434"}
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: local/*
    litellm_params: {model: ollama_chat/*, api_base: "http://localhost:11434"}
    model_info: {mode: chat}
""",
)
def unanchored(config: Config) -> Iterator[Hit]:
    """Names of groups with text after a star."""
    for deployment in config.deployments:
        if "*" in deployment.name and not deployment.name.endswith("*"):
            message = f"{quoted(deployment.name)} takes longer names too."
            yield Hit((*deployment.path, "model_name"), message)


@rule(
    "GW243",
    title="A server is asked for a model called '*'",
    why="A star in a model takes what the star in the group's name stood for. Behind a name "
    "without a star, or where a fallback names the pattern itself, it stands for nothing and is "
    "sent as it is: the server answers 404.",
    remedy="Write the model out; in fallbacks, name a model that the pattern takes.",
    failing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/*, api_key: os.environ/OPENAI_API_KEY}  # <--
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: openai/*
    litellm_params: {model: openai/*, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
""",
)
def star_without_counterpart(config: Config) -> Iterator[Hit]:
    """Models with a star behind a plain name, and fallbacks to a pattern."""
    for deployment in config.deployments:
        if "*" in deployment.model and "*" not in deployment.name:
            message = (
                f"{quoted(deployment.name)} gives the star of {quoted(deployment.model)} no text."
            )
            yield Hit(deployment.param("model"), message)
    for step in config.steps(*FALLBACKS):
        if any(
            "*" in each.model for each in config.groups.get(step.target, ()) if "*" in each.name
        ):
            yield Hit(step.path, f"{quoted(step.target)} is a pattern, not a model.")


@rule(
    "GW217",
    title="A pattern has fallbacks",
    why="LiteLLM looks fallbacks up under the name the client asked for, and no client asks for "
    "one with a star: what the pattern takes has no fallback.",
    remedy="Give each name its entry, or write one for '*', which holds for all.",
    failing="""
model_list:
  - model_name: openai/*
    litellm_params: {model: openai/*, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
  - model_name: backup
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: os.environ/ANTHROPIC_API_KEY}
    model_info: {mode: chat}
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - openai/*: [backup]  # <--
""",
    passing="""
model_list:
  - model_name: openai/*
    litellm_params: {model: openai/*, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
  - model_name: backup
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: os.environ/ANTHROPIC_API_KEY}
    model_info: {mode: chat}
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - openai/gpt-4o: [backup]
""",
)
def pattern_falls_back(config: Config) -> Iterator[Hit]:
    """Sources of fallbacks with a star in them, but for the star alone."""
    for _, entries, path in config.fallback_lists():
        for index, entry in enumerate(entries):
            for source in entry if isinstance(entry, dict) else ():
                if "*" in source and source != "*" and source in config.groups:
                    message = f"Nobody asks for {quoted(source)} by this name."
                    yield Hit((*path, index, source), message, on_key=True)
