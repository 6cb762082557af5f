"""Rules about single deployments: is it one, and can a request reach its server?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.gateway.litellm_lint.config import ENVIRONMENT
from harness.gateway.litellm_lint.rule import rule
from harness.registry.finding import Severity
from harness.registry.rule import Hit
from harness.registry.wording import quoted, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config, Deployment

_REPLICATE = 64
"""A version of a Replicate model is so many digits long."""
OTHER_MODES = re.compile(
    r"embed|rerank|whisper|(^|[-_/])(tts|bge|gte|e5|dall-e|imagen|flux)([-_/:.]|$)|stable-diffusion"
)
"""Names of models that are not for chat."""


@rule(
    "GW220",
    title="An entry of model_list is no deployment",
    why="Without model_name, litellm_params and the model in it LiteLLM ends with a KeyError that "
    "names no line.",
    remedy="Add what is missing.",
    failing="""
model_list:
  - model_name: chat
    litellm_params:  # <--
      api_base: http://127.0.0.1:8001/v1
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: hosted_vllm/coder, api_base: "http://127.0.0.1:8001/v1"}
    model_info: {mode: chat}
""",
)
def incomplete(config: Config) -> Iterator[Hit]:
    """Entries without a name, parameters or a model."""
    for index, entry in config.entries:
        path = ("model_list", index)
        for part in ("model_name", "litellm_params"):
            if part not in entry:
                yield Hit(path, f"The entry has no {part}.")
        if entry.get("model_name", "") is None or entry.get("model_name", "x") == "":
            yield Hit((*path, "model_name"), "The name is empty.", on_key=True)
        params = entry.get("litellm_params")
        if isinstance(params, dict) and not params.get("model"):
            yield Hit((*path, "litellm_params"), "litellm_params has no model.", on_key=True)


@rule(
    "GW221",
    title="A model has no provider",
    why="LiteLLM cannot tell which client to use, drops the deployment with a line in its log and "
    "starts without it; clients get 400 for a model that stands in the file.",
    remedy="Write provider/model, for instance hosted_vllm/... for vLLM, openai/... for another "
    "server with OpenAI's API, or set custom_llm_provider.",
    failing="""
model_list:
  - model_name: llama
    litellm_params:
      model: meta-llama/Llama-3.3-70B-Instruct  # <--
      api_base: http://127.0.0.1:8001/v1
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: llama
    litellm_params:
      model: hosted_vllm/meta-llama/Llama-3.3-70B-Instruct
      api_base: http://127.0.0.1:8001/v1
    model_info: {mode: chat}
""",
)
def no_provider(config: Config) -> Iterator[Hit]:
    """Models whose name, settings and address all name no provider."""
    providers = config.known.providers | _own_providers(config)
    for deployment in config.deployments:
        named = deployment.params.get("custom_llm_provider")
        if named is not None:
            if isinstance(named, str) and named not in providers:
                message = f"LiteLLM has no provider {quoted(named)}."
                hit = deployment.param("custom_llm_provider")
                yield Hit(hit, message, suggest(named, sorted(providers)))
            continue
        if not _known(config, deployment, providers):
            message = f"LiteLLM finds no provider for {quoted(deployment.model)}."
            yield Hit(deployment.param("model"), message)


def _known(config: Config, deployment: Deployment, providers: frozenset[str]) -> bool:
    model = deployment.model
    prefix, slash, _ = model.partition("/")
    return (
        bool(slash and prefix in providers)
        or model in config.known.models
        or model == "*"
        or model.startswith((ENVIRONMENT, "ft:gpt-", "gpt-image"))
        or len(model.rpartition(":")[2]) == _REPLICATE
        or deployment.address.netloc in config.known.hosts
    )


def _own_providers(config: Config) -> frozenset[str]:
    found = config.section("litellm_settings").get("custom_provider_map")
    entries = found if isinstance(found, list) else []
    return frozenset(str(each.get("provider")) for each in entries if isinstance(each, dict))


@rule(
    "GW222",
    title="Two deployments have one id",
    why="The id is how LiteLLM tells deployments apart: the second takes the first one's place in "
    "cooldowns, in spend and when a client asks for the id.",
    remedy="Give each deployment an id of its own.",
    failing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {id: first, mode: chat}
  - model_name: chat
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: os.environ/ANTHROPIC_API_KEY}
    model_info: {id: first, mode: chat}  # <--
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {id: first, mode: chat}
  - model_name: chat
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: os.environ/ANTHROPIC_API_KEY}
    model_info: {id: second, mode: chat}
""",
)
def one_id(config: Config) -> Iterator[Hit]:
    """Ids that stand twice."""
    seen: dict[str, Deployment] = {}
    for deployment in config.deployments:
        found = deployment.info.get("id")
        if found is None:
            continue
        first = seen.setdefault(str(found), deployment)
        if first is not deployment:
            message = f"{quoted(first.name)} has the id {quoted(found)} already."
            yield Hit((*deployment.path, "model_info", "id"), message)


@rule(
    "GW223",
    severity=Severity.WARNING,
    title="A deployment stands twice",
    why="Two equal deployments are one server that is asked twice as often; when it is down, the "
    "retry asks it again. Without an id they even share the one LiteLLM makes up.",
    remedy="Remove one, or give it weight: 2.",
    failing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
  - model_name: chat  # <--
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/SECOND_KEY}
    model_info: {mode: chat}
""",
)
def twice(config: Config) -> Iterator[Hit]:
    """Members of one group with the same parameters."""
    seen: dict[str, Deployment] = {}
    for deployment in config.deployments:
        key = repr((deployment.name, sorted(deployment.params.items(), key=lambda each: each[0])))
        if seen.setdefault(key, deployment) is not deployment:
            message = f"{quoted(deployment.name)} has this deployment already."
            yield Hit(deployment.path, message)


@rule(
    "GW224",
    severity=Severity.WARNING,
    title="A model that is not for chat has no mode",
    why="The health check takes a model without a mode, and without a place in LiteLLM's price "
    "list, for a chat model, sends it a chat request and calls it unhealthy (litellm#5196).",
    remedy="Set model_info.mode: embedding, rerank, audio_transcription or what it is.",
    failing="""
model_list:
  - model_name: embed
    litellm_params:  # <--
      model: ollama/nomic-embed-text
      api_base: http://localhost:11434
""",
    passing="""
model_list:
  - model_name: embed
    litellm_params: {model: ollama/nomic-embed-text, api_base: "http://localhost:11434"}
    model_info: {mode: embedding}
""",
)
def no_mode(config: Config) -> Iterator[Hit]:
    """Models named like an embedding, speech, image or ranking model, without a mode."""
    for deployment in config.deployments:
        bare = deployment.model.partition("/")[2] or deployment.model
        if config.known.lists_mode(deployment.model, bare) or not OTHER_MODES.search(
            deployment.model.lower()
        ):
            continue
        if deployment.info.get("mode") is None:
            part = "model_info" if deployment.info else "litellm_params"
            message = f"Nothing says that {quoted(deployment.model)} is not a chat model."
            yield Hit((*deployment.path, part), message, on_key=True)


@rule(
    "GW280",
    severity=Severity.WARNING,
    title="A model is not of the kind its mode says",
    why="LiteLLM's price list knows the model for another endpoint. The health check believes the "
    "mode, sends it a chat request and calls it unhealthy (litellm#8483).",
    remedy="Set model_info.mode to what the model is for, or leave it out.",
    failing="""
model_list:
  - model_name: ear
    litellm_params: {model: openai/whisper-1, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}  # <--
""",
    passing="""
model_list:
  - model_name: ear
    litellm_params: {model: openai/whisper-1, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: audio_transcription}
""",
)
def wrong_mode(config: Config) -> Iterator[Hit]:
    """Models at their provider's own address that are said to be for chat and are not."""
    for deployment in config.deployments:
        bare = deployment.model.partition("/")[2] or deployment.model
        listed = config.known.lists_mode(deployment.model, bare) and not deployment.local
        if listed and deployment.info.get("mode") in ("chat", "completion", "responses"):
            message = f"{quoted(deployment.model)} is no model for {deployment.info['mode']}."
            yield Hit((*deployment.path, "model_info", "mode"), message)
