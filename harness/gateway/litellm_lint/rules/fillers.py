"""Rules about keys that are none: fillers that nobody has replaced."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from harness.gateway.litellm_lint.rule import rule
from harness.gateway.litellm_lint.rules.secrets import SECRET, given, is_filler, key_of, texts
from harness.registry.rule import Hit
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config, Deployment

_NO_KEY = re.compile(
    r"(sk-)?(empty|none|null|no[-_ ]?key|no[-_ ]?key[-_ ]required|not[-_ ]?(needed|required|used)"
    r"|unused|dummy([-_ ]key)?|fake([-_ ](api[-_ ])?key)?|anything|ignored|n/a|-)",
    re.IGNORECASE,
)
"""What people write where a server wants a word and looks at none."""
_KEYLESS = ("ollama", "ollama_chat", "bedrock", "vertex_ai", "sagemaker", "custom")
"""Providers that log in otherwise, or not at all."""


def own_server(deployment: Deployment) -> bool:
    """Whether its address is on this machine, in a private network, or has a name without a dot."""
    host = deployment.address.hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return bool(host) and ("." not in host or host.endswith((".local", ".internal", ".lan")))


@rule(
    "GW265",
    title="A filler stands in place of a key",
    why="The words of a template were never replaced, or a word for servers without keys is sent "
    "to a provider that wants one: every request is answered 401, and falls back or fails.",
    remedy="Write os.environ/NAME and set NAME in the gateway's environment.",
    failing="""
model_list:
  - model_name: chat
    litellm_params:
      model: openai/gpt-4o
      api_key: your-api-key-here  # <--
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: coder
    litellm_params:
      {model: openai/workspace-coder, api_base: "http://127.0.0.1:8001/v1", api_key: EMPTY}
    model_info: {mode: chat}
""",
)
def filler(config: Config) -> Iterator[Hit]:
    """Fillers under the names of keys, but for those that a server of one's own ignores."""
    for deployment in config.deployments:
        key = deployment.params.get("api_key")
        keyless = deployment.provider in _KEYLESS or deployment.model == "*"
        if not isinstance(key, str) or given(key) or own_server(deployment) or keyless:
            continue
        if is_filler(key) or (_NO_KEY.fullmatch(key.strip()) and not deployment.local):
            yield Hit(deployment.param("api_key"), f"{quoted(key)} is no key.")
    for path, text in texts(config.value):
        elsewhere = path[:1] != ("model_list",) and SECRET.fullmatch(key_of(path))
        if elsewhere and is_filler(text):
            yield Hit(path, f"{quoted(text)} is no key.")
