"""The minimal sources, and how an example of a rule is laid over them."""

from __future__ import annotations

import copy
from typing import Any

import yaml

BASE = """
providers.yaml:
  hosts:
    box: {gpu: Some Card, vram_gb: 16}
  providers:
    local:
      type: vllm
      port: local
      status: active
      health: {path: /health, timeout_s: 2}
      hardware: {host: box, gpu: true}
      models:
        - {name: tiny, served_as: tiny, context_length: 4096, vram_gb: 6, capabilities: [chat],
           mode: chat, residency: always}
    spare:
      type: llama_cpp_native
      port: spare
      status: optional
      health: {path: /health, timeout_s: 2}
      models:
        - {name: tiny, served_as: tiny, context_length: 8192, capabilities: [chat],
           mode: chat, residency: always}

model-mappings.yaml:
  public_models: [tiny]
  routes:
    exact:
      tiny: {provider: local, model: tiny}
      spare: {provider: spare, model: tiny}
  resilience: {timeout_s: 30, stream_timeout_s: 10, retries: 0, allowed_fails: 1, cooldown_s: 3}
  gateway:
    port: gateway
    cors_origins: [http://localhost:3000]
    master_key: {env: GATEWAY_KEY}
    metrics: true
    health: {path: /health/readiness, timeout_s: 2}

ports.yaml:
  host: 127.0.0.1
  services:
    gateway: {port: 4000, protocol: http, owner: gateway}
    local: {port: 8000, protocol: http, owner: local}
    spare: {port: 8080, protocol: http, owner: spare, optional: true}
"""
"""The least that loads without a finding; every example is read as a change to this."""


def sources(example: str) -> dict[str, bytes]:
    """The three source files with ``example`` laid over :data:`BASE`, by file name.

    A mapping is merged key by key, a list or scalar replaces, null removes. Where the example
    gives text or bytes for a whole file, that is the file.
    """
    merged = _merge(yaml.safe_load(BASE), yaml.safe_load(example) or {})
    return {name: _content(value) for name, value in merged.items()}


def _merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(base)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _content(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else yaml.safe_dump(value, sort_keys=False)
    return text.encode()
