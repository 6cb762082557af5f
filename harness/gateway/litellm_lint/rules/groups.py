"""Rules about deployments that stand in for one another, in a group or along fallbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_lint.config import FALLBACKS
from harness.gateway.litellm_lint.rule import rule
from harness.registry.finding import Severity
from harness.registry.rule import Hit
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config

_CHECK = "enforce_model_rate_limits"
_LIMITERS = ("usage-based-routing", "usage-based-routing-v2", "lar1")


@rule(
    "GW253",
    severity=Severity.WARNING,
    title="rpm and tpm limit nothing",
    why="Under the default strategy they are weights: how often a deployment is picked, compared "
    "with the others of its group. Five of five requests pass rpm: 2 (litellm#7200).",
    remedy="Add enforce_model_rate_limits to router_settings.optional_pre_call_checks; write "
    "weight if a weight is meant.",
    failing="""
model_list:
  - model_name: chat
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: 2  # <--
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, rpm: 2}
    model_info: {mode: chat}
router_settings:
  {num_retries: 0, optional_pre_call_checks: [enforce_model_rate_limits]}
""",
)
def no_limit(config: Config) -> Iterator[Hit]:
    """Limits of deployments that nothing enforces; one for each group."""
    checks, _ = config.setting("optional_pre_call_checks")
    strategy, _ = config.setting("routing_strategy")
    if strategy in _LIMITERS or (isinstance(checks, list) and _CHECK in checks):
        return
    for members in config.groups.values():
        for deployment in members:
            key = next((key for key in ("rpm", "tpm") if deployment.params.get(key)), "")
            if key:
                message = f"Nothing keeps {quoted(deployment.name)} to its {key}."
                yield Hit(deployment.param(key), message)
                break


@rule(
    "GW254",
    severity=Severity.WARNING,
    title="Only some deployments of a group have a weight",
    why="As soon as one deployment has a weight, or an rpm, or a tpm, those without it count as "
    "zero and are not picked while the others are healthy.",
    remedy="Give every deployment of the group one, or none.",
    failing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, weight: 2}
    model_info: {mode: chat}
  - model_name: chat
    litellm_params:  # <--
      model: anthropic/claude-sonnet-4-5
      api_key: os.environ/ANTHROPIC_API_KEY
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, weight: 2}
    model_info: {mode: chat}
  - model_name: chat
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: os.environ/K, weight: 1}
    model_info: {mode: chat}
""",
)
def unweighted(config: Config) -> Iterator[Hit]:
    """Members without the weight that the first of their level has."""
    if config.setting("routing_strategy")[0] not in (None, "simple-shuffle"):
        return
    levels: dict[tuple[str, str], list[Any]] = {}
    for deployment in config.deployments:
        order = str(deployment.params.get("order"))
        levels.setdefault((deployment.name, order), []).append(deployment)
    for members in levels.values():
        for key in ("weight", "rpm", "tpm"):
            without = [each for each in members if not each.params.get(key)]
            if len(without) < len(members):
                for each in without if len(members) > 1 else ():
                    if key in each.params:
                        continue  # a weight of zero is said on purpose
                    message = f"{quoted(each.name)} has a {key} elsewhere; here it counts as 0."
                    yield Hit((*each.path, "litellm_params"), message, on_key=True)
                break


@rule(
    "GW256",
    severity=Severity.WARNING,
    title="A fallback takes fewer tokens",
    why="A prompt that fitted the group is refused by its fallback, just when the group is down.",
    remedy="Order the fallbacks by max_input_tokens.",
    failing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat, max_input_tokens: 128000}
  - model_name: backup
    litellm_params: {model: "ollama_chat/llama3.1:8b", api_base: "http://localhost:11434"}
    model_info: {mode: chat, max_input_tokens: 8192}
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - chat: [backup]  # <--
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat, max_input_tokens: 128000}
  - model_name: backup
    litellm_params: {model: "ollama_chat/llama3.1:8b", api_base: "http://localhost:11434"}
    model_info: {mode: chat, max_input_tokens: 131072}
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - chat: [backup]
""",
)
def shrinking(config: Config) -> Iterator[Hit]:
    """Steps to a group with a smaller window, where the file gives both."""
    for step in config.steps("fallbacks", "context_window_fallbacks"):
        before, after = _window(config, step.source), _window(config, step.target)
        if before is not None and after is not None and after < before:
            message = f"{quoted(step.target)} takes {after} tokens, {quoted(step.source)} {before}."
            yield Hit(step.path, message)


def _window(config: Config, name: str) -> int | None:
    """The smallest window in a group, if each member gives one."""
    members = config.groups.get(config.aliases.get(name, name), [])
    sizes = [each.info.get("max_input_tokens") for each in members]
    known = [size for size in sizes if isinstance(size, int)]
    return min(known) if known and len(known) == len(sizes) else None


@rule(
    "GW257",
    title="Different kinds of models stand in for each other",
    why="A chat request cannot be answered by an embedding model, nor the other way round.",
    remedy="Keep to one mode in a group and along its fallbacks.",
    failing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
  - model_name: chat
    litellm_params: {model: openai/text-embedding-3-small, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: embedding}  # <--
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
  - model_name: embed
    litellm_params: {model: openai/text-embedding-3-small, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: embedding}
""",
)
def mixed_modes(config: Config) -> Iterator[Hit]:
    """Groups, and steps of fallbacks, whose modes differ; chat and responses are one."""
    for members in config.groups.values():
        first = _mode(members[0].info)
        for each in members[1:]:
            if first and _mode(each.info) and _mode(each.info) != first:
                message = f"The group {quoted(each.name)} begins with a model for {first}."
                yield Hit((*each.path, "model_info", "mode"), message)
    for step in config.steps(*FALLBACKS):
        source, target = (
            config.groups.get(config.aliases.get(name, name)) for name in (step.source, step.target)
        )
        modes = [_mode(group[0].info) for group in (source, target) if group]
        if len(modes) > 1 and all(modes) and modes[0] != modes[1]:
            message = (
                f"{quoted(step.source)} is for {modes[0]}, {quoted(step.target)} for {modes[1]}."
            )
            yield Hit(step.path, message)


def _mode(info: dict[str, Any]) -> str:
    mode = info.get("mode")
    return {"responses": "chat"}.get(mode, mode) if isinstance(mode, str) else ""


@rule(
    "GW258",
    severity=Severity.WARNING,
    title="The context window is checked and not given",
    why="enable_pre_call_checks leaves out deployments whose window is too small. It knows a "
    "window from model_info or from LiteLLM's price list; where neither has it, the check passes "
    "everything.",
    remedy="Set model_info.max_input_tokens.",
    failing="""
model_list:
  - model_name: coder
    litellm_params: {model: hosted_vllm/coder, api_base: "http://127.0.0.1:8001/v1"}
    model_info: {mode: chat}  # <--
router_settings: {num_retries: 0, enable_pre_call_checks: true}
""",
    passing="""
model_list:
  - model_name: coder
    litellm_params: {model: hosted_vllm/coder, api_base: "http://127.0.0.1:8001/v1"}
    model_info: {mode: chat, max_input_tokens: 32768}
router_settings: {num_retries: 0, enable_pre_call_checks: true}
""",
)
def no_window(config: Config) -> Iterator[Hit]:
    """Servers of one's own without a window, where windows are checked."""
    if config.setting("enable_pre_call_checks")[0] is not True:
        return
    for deployment in config.deployments:
        bare = deployment.model.partition("/")[2]
        known = bare in config.known.models or deployment.info.get("base_model")
        sized = any(deployment.info.get(key) for key in ("max_input_tokens", "max_tokens"))
        if deployment.local and not known and not sized:
            message = f"Nobody knows how many tokens {quoted(deployment.name)} takes."
            yield Hit((*deployment.path, "model_info"), message)
