"""Rules about what a deployment takes from elsewhere in the file: a credential, an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.gateway.litellm_lint.config import ENVIRONMENT
from harness.gateway.litellm_lint.rule import rule
from harness.registry.rule import Hit
from harness.registry.wording import quoted, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config

_CONNECTION = ("api_base", "base_url", "api_version", "timeout", "stream_timeout")
"""Settings of litellm_params that model_info may note, and that are not read there."""


@rule(
    "GW279",
    title="A deployment names a credential that is not defined",
    why="LiteLLM finds nothing under the name and goes on in silence: the request is sent without "
    "the key and the address that were meant, or with others from the environment.",
    remedy="Define it under credential_list, or correct the name.",
    failing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, litellm_credential_name: mine}  # <--
    model_info: {mode: chat}
credential_list:
  - {credential_name: ours, credential_values: {api_key: os.environ/K}, credential_info: {}}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, litellm_credential_name: ours}
    model_info: {mode: chat}
credential_list:
  - {credential_name: ours, credential_values: {api_key: os.environ/K}, credential_info: {}}
""",
)
def unknown_credential(config: Config) -> Iterator[Hit]:
    """Names that credential_list lacks, where nothing else can define them."""
    listed = config.value.get("credential_list")
    entries = listed if isinstance(listed, list) else []
    known = [str(each.get("credential_name")) for each in entries if isinstance(each, dict)]
    for deployment in config.deployments if config.closed else ():
        name = deployment.params.get("litellm_credential_name")
        if isinstance(name, str) and name not in known and not name.startswith(ENVIRONMENT):
            message = f"There is no credential {quoted(name)}."
            yield Hit(deployment.param("litellm_credential_name"), message, suggest(name, known))


@rule(
    "GW281",
    title="A setting of the connection stands below model_info",
    why="model_info describes a model and may hold any note; the client is made from "
    "litellm_params. An api_base that stands here is not used, and the request goes to the "
    "provider's own address.",
    remedy="Move it to litellm_params.",
    failing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info:
      mode: chat
      api_base: http://127.0.0.1:8001/v1  # <--
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/m, api_base: "http://127.0.0.1:8001/v1", api_key: none}
    model_info: {mode: chat, api_base: "http://127.0.0.1:8001/v1"}
""",
)
def in_model_info(config: Config) -> Iterator[Hit]:
    """Such settings that litellm_params does not give, so that they are no note of it."""
    for deployment in config.deployments:
        for key in _CONNECTION:
            if key in deployment.info and key not in deployment.params:
                message = f"{quoted(deployment.name)} does without this {key}."
                yield Hit((*deployment.path, "model_info", key), message, on_key=True)
