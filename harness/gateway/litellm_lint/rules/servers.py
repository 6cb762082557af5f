"""Rules about the server behind a deployment: is it asked where it listens, and with which key?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.gateway.litellm_lint.rule import rule
from harness.gateway.litellm_lint.rules.deployments import OTHER_MODES
from harness.gateway.litellm_lint.rules.secrets import given
from harness.registry.finding import Severity
from harness.registry.rule import Hit
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config

_PATHS = re.compile(r"/(chat/completions|completions|embeddings|api/generate|api/chat|models)/?$")
_AZURE = re.compile(r"\.(openai|cognitiveservices)\.azure\.com$")
_ADDRESSES = {"hosted_vllm": "HOSTED_VLLM_API_BASE", "azure": "AZURE_API_BASE"}
"""By provider without an address of its own: the variable LiteLLM takes it from."""
_GATEWAY_PORT = 4000
"""LiteLLM's own, where --port and PORT say nothing else."""
_HERE = ("localhost", "127.0.0.1", "0.0.0.0", "::1")  # noqa: S104  looked for, not bound
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
        path, host = deployment.address.path.rstrip("/"), deployment.address.hostname or ""
        remedy = ""
        if "://" not in base:
            continue  # GW241 reports it
        if deployment.provider == "openai" and _AZURE.search(host) and path != "/openai/v1":
            message = f"{quoted(host)} is Azure's, which openai/ finds below /openai/v1 only."
            remedy = "Write azure/ in place of openai/, and give api_version."
        elif _PATHS.search(base):
            message = f"{quoted(base)} holds the path of an endpoint, which LiteLLM appends."
        elif deployment.provider in OPENAI_SERVERS and path == "":
            message = f"{quoted(base)} has no path; the API of such a server is below /v1."
        elif deployment.provider in OLLAMA and path.endswith("/v1"):
            message = f"Ollama's own API, which {deployment.provider}/ speaks, is not below /v1."
        elif deployment.provider == "anthropic" and path.endswith("/v1"):
            message = f"LiteLLM appends /v1/messages, so it asks {path}/v1/messages."
            remedy = "Remove /v1 from its end."
        else:
            continue
        yield Hit(deployment.param(key), message, remedy)


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


@rule(
    "GW241",
    title="api_base is no URL",
    why="Without http:// or https:// the client refuses the address, and the deployment fails "
    "every request with an error that looks like the server's.",
    remedy="Begin it with http:// or https://.",
    failing="""
model_list:
  - model_name: llama
    litellm_params:
      model: ollama_chat/llama3.1:8b
      api_base: localhost:11434  # <--
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: llama
    litellm_params: {model: "ollama_chat/llama3.1:8b", api_base: "http://localhost:11434"}
    model_info: {mode: chat}
""",
)
def no_url(config: Config) -> Iterator[Hit]:
    """Addresses without a scheme; references to the environment are left to GW263."""
    for deployment in config.deployments:
        base = deployment.api_base
        if base.strip() and "://" not in base and not given(base):
            key = "api_base" if "api_base" in deployment.params else "base_url"
            yield Hit(deployment.param(key), f"{quoted(base)} has no scheme.")


@rule(
    "GW242",
    severity=Severity.WARNING,
    title="A deployment has no api_base and needs one",
    why="vLLM and Azure have no address of their own. LiteLLM looks for HOSTED_VLLM_API_BASE or "
    "AZURE_API_BASE in its environment; without it a request to Azure fails, and one for vLLM "
    "leaves the house, to https://api.openai.com.",
    remedy="Set api_base, for instance http://localhost:8000/v1 or https://NAME.openai.azure.com.",
    failing="""
model_list:
  - model_name: coder
    litellm_params: {model: hosted_vllm/workspace-coder}  # <--
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: coder
    litellm_params: {model: hosted_vllm/workspace-coder, api_base: "http://127.0.0.1:8001/v1"}
    model_info: {mode: chat}
""",
)
def no_address(config: Config) -> Iterator[Hit]:
    """Models without an address in the deployment, the settings or the variables of the file."""
    if config.section("litellm_settings").get("api_base"):
        return
    named = config.section("environment_variables")
    for deployment in config.deployments:
        variable = _ADDRESSES.get(deployment.provider)
        credential = deployment.params.get("litellm_credential_name")
        if variable and variable not in named and not deployment.local and not credential:
            message = f"Nothing in the file says where {quoted(deployment.name)} is."
            yield Hit(deployment.param("model"), message)


@rule(
    "GW282",
    severity=Severity.WARNING,
    title="The gateway would ask itself",
    why="Port 4000 of this machine is where LiteLLM listens unless told otherwise. A deployment "
    "that leads there sends each request round and round until it times out.",
    remedy="Give the address of the model server, or move one of the two to another port.",
    failing="""
model_list:
  - model_name: chat
    litellm_params:
      model: openai/chat
      api_base: http://localhost:4000/v1  # <--
      api_key: os.environ/LITELLM_MASTER_KEY
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params:
      {model: openai/chat, api_base: "http://localhost:8000/v1", api_key: os.environ/SERVER_KEY}
    model_info: {mode: chat}
""",
)
def itself(config: Config) -> Iterator[Hit]:
    """Addresses on this machine with the gateway's own default port."""
    for deployment in config.deployments:
        try:
            port = deployment.address.port
        except ValueError:
            continue
        if port == _GATEWAY_PORT and deployment.address.hostname in _HERE:
            key = "api_base" if "api_base" in deployment.params else "base_url"
            yield Hit(deployment.param(key), f"Port {port} of this machine is the gateway's.")
