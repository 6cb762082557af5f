"""Rules about the server behind a deployment: is it asked where it listens, and with which key?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.gateway.litellm_lint.rule import rule
from harness.gateway.litellm_lint.rules.deployments import OTHER_MODES
from harness.registry.finding import Severity
from harness.registry.rule import Hit
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config

_PATHS = re.compile(r"/(chat/completions|completions|embeddings|api/generate|api/chat|models)/?$")
OPENAI_SERVERS = ("openai", "hosted_vllm", "text-completion-openai", "custom_openai")
"""Providers whose client appends ``/chat/completions`` to ``api_base``."""
OLLAMA = ("ollama", "ollama_chat")


@rule(
    "GW225",
    severity=Severity.WARNING,
    title="api_base is not where the API is",
    why="For a server with OpenAI's API LiteLLM appends /chat/completions to api_base, for Ollama "
    "/api/chat. A missing /v1, or a path too many, ends in 404 on a server that is up.",
    remedy="End it in /v1 for a server with OpenAI's API, in the port for Ollama.",
    failing="""
model_list:
  - model_name: coder
    litellm_params:
      model: hosted_vllm/workspace-coder
      api_base: http://127.0.0.1:8001  # <--
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: coder
    litellm_params: {model: hosted_vllm/workspace-coder, api_base: "http://127.0.0.1:8001/v1"}
    model_info: {mode: chat}
""",
)
def api_base(config: Config) -> Iterator[Hit]:
    """Addresses whose path does not fit the provider."""
    for deployment in config.deployments:
        base = deployment.api_base
        key = "api_base" if "api_base" in deployment.params else "base_url"
        path = deployment.address.path.rstrip("/")
        if not base:
            continue
        if _PATHS.search(base):
            message = f"{quoted(base)} holds the path of an endpoint, which LiteLLM appends."
        elif deployment.provider in OPENAI_SERVERS and path == "":
            message = f"{quoted(base)} has no path; the API of such a server is below /v1."
        elif deployment.provider in OLLAMA and path.endswith("/v1"):
            message = f"Ollama's own API, which {deployment.provider}/ speaks, is not below /v1."
        else:
            continue
        yield Hit(deployment.param(key), message)


@rule(
    "GW226",
    severity=Severity.WARNING,
    title="A chat model is asked by way of ollama/",
    why="ollama/ sends the chat to /api/generate as one text that LiteLLM formats itself: tools "
    "and the model's own template are lost. ollama_chat/ uses /api/chat.",
    remedy="Write ollama_chat/ instead of ollama/.",
    failing="""
model_list:
  - model_name: llama
    litellm_params:
      model: ollama/llama3.1:8b  # <--
      api_base: http://localhost:11434
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: llama
    litellm_params: {model: "ollama_chat/llama3.1:8b", api_base: "http://localhost:11434"}
    model_info: {mode: chat}
""",
)
def ollama_generate(config: Config) -> Iterator[Hit]:
    """Chat models with the prefix of the older endpoint."""
    for deployment in config.deployments:
        chat = deployment.info.get("mode", "chat") == "chat"
        other = OTHER_MODES.search(deployment.model.lower())
        if deployment.provider == "ollama" and chat and not other:
            message = f"{quoted(deployment.model)} is asked at /api/generate."
            yield Hit(deployment.param("model"), message)


@rule(
    "GW227",
    severity=Severity.WARNING,
    title="vllm/ starts vLLM inside the gateway",
    why="The prefix vllm/ imports the Python package into the proxy's process and loads the model "
    "there; api_base is not looked at (litellm#2831).",
    remedy="Write hosted_vllm/ for a vLLM server.",
    failing="""
model_list:
  - model_name: coder
    litellm_params:
      model: vllm/workspace-coder  # <--
      api_base: http://127.0.0.1:8001/v1
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: coder
    litellm_params: {model: hosted_vllm/workspace-coder, api_base: "http://127.0.0.1:8001/v1"}
    model_info: {mode: chat}
""",
)
def vllm_in_process(config: Config) -> Iterator[Hit]:
    """Models with the prefix vllm/ and a server's address."""
    for deployment in config.deployments:
        if deployment.provider == "vllm" and deployment.local:
            message = f"{quoted(deployment.model)} is not asked at its api_base."
            yield Hit(deployment.param("model"), message)


@rule(
    "GW228",
    severity=Severity.WARNING,
    title="A server of one's own is given the provider's key",
    why="Without api_key the client for openai/ takes OPENAI_API_KEY from the environment and "
    "sends it to this server; where there is none it refuses every request (litellm#5183).",
    remedy="Set api_key: os.environ/..., or any word if the server wants none.",
    failing="""
model_list:
  - model_name: coder
    litellm_params:
      model: openai/workspace-coder  # <--
      api_base: http://127.0.0.1:8001/v1
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: coder
    litellm_params:
      {model: openai/workspace-coder, api_base: "http://127.0.0.1:8001/v1", api_key: not-needed}
    model_info: {mode: chat}
""",
)
def no_key(config: Config) -> Iterator[Hit]:
    """Servers behind openai/ without a key."""
    shared = config.section("litellm_settings")
    if shared.get("api_key") or shared.get("openai_key"):
        return
    for deployment in config.deployments:
        keyed = any(deployment.params.get(key) for key in ("api_key", "litellm_credential_name"))
        openai = deployment.provider == "openai"
        host = deployment.address.hostname or "openai.com"
        if openai and not keyed and not host.endswith("openai.com"):
            message = f"{quoted(deployment.name)} has an api_base and no api_key."
            yield Hit(deployment.param("model"), message)


@rule(
    "GW229",
    severity=Severity.WARNING,
    title="A model of Ollama has no api_base",
    why="LiteLLM then starts an Ollama of its own (`ollama serve`) beside the gateway, also when "
    "it only checks the file.",
    remedy="Set api_base, for instance http://localhost:11434.",
    failing="""
model_list:
  - model_name: llama
    litellm_params: {model: "ollama_chat/llama3.1:8b"}  # <--
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: llama
    litellm_params: {model: "ollama_chat/llama3.1:8b", api_base: "http://localhost:11434"}
    model_info: {mode: chat}
""",
)
def ollama_started(config: Config) -> Iterator[Hit]:
    """Models with ``ollama`` in their name and no address."""
    for deployment in config.deployments:
        if "ollama" in deployment.model and deployment.params.get("api_base") is None:
            message = f"LiteLLM would start `ollama serve` for {quoted(deployment.model)}."
            yield Hit(deployment.param("model"), message)
