"""The LiteLLM proxy, in an environment of its own."""

from __future__ import annotations

from harness.gateway import environment
from harness.gateway.base import Kind
from harness.gateway.litellm_config import compile_config, compile_files, required_variables
from harness.gateway.proxy import LiteLLMProxy

GATEWAY = Kind(
    name="litellm",
    title="the real LiteLLM proxy",
    version=environment.version,
    files=compile_files,
    compile=compile_config,
    variables=required_variables,
    make=LiteLLMProxy,
)
