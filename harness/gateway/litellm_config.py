"""The LiteLLM configuration, compiled from the sources.

What LiteLLM 1.106 does with each key was measured; the reasons stand beside the keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from harness.routing import Deployment, Route, Rule, listed, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.registry import Registry
    from harness.registry.models import Provider

CONFIG_FILE = "litellm-unified.yaml"
ENV_FILE = "litellm-unified.env"

_ADAPTER = {
    # ollama_chat speaks /api/chat; plain "ollama" goes through /api/generate and its templates.
    "ollama": "ollama_chat",
    # The OpenAI adapter reports a broken frame; hosted_vllm drops it silently.
    "vllm": "openai",
    "llama_cpp_native": "openai",
    "llama_cpp_python": "openai",
    "openai": "openai",
    "openai_compatible": "openai",
    "anthropic": "anthropic",
}
_NATIVE_PATHS = {"ollama_chat", "anthropic"}
"""Adapters that append their own path, so they get the server's root."""

_NO_KEY = "not-needed"
"""The OpenAI adapter refuses an empty key; engines without one ignore it."""


def compile_files(
    registry: Registry, *, endpoints: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Every generated file by name; the same sources give the same bytes.

    ``endpoints`` replaces the root URL of providers by id, for a run on free ports.
    """
    return {
        CONFIG_FILE: _yaml(registry, compile_config(registry, endpoints=endpoints)),
        ENV_FILE: _env(registry),
    }


def compile_config(
    registry: Registry, *, endpoints: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The configuration as LiteLLM reads it: plain mappings, lists and scalars."""
    routes = [
        route for name in listed(registry) if isinstance(route := resolve(registry, name), Route)
    ]
    endpoints = endpoints or {}
    model_list = [
        _entry(registry, deployment, endpoints) for deployment in _deployments(registry, routes)
    ]
    resilience = registry.resilience
    config: dict[str, Any] = {
        "model_list": model_list,
        "router_settings": {
            # Replicas are picked by weight; rpm and tpm are weights too unless enforced below.
            "routing_strategy": "simple-shuffle",
            # A retry on a lone deployment costs 0.5 s, 1 s, 2 s of back-off before its fallback.
            "num_retries": resilience.retries,
            "timeout": resilience.timeout_s,
            "stream_timeout": resilience.stream_timeout_s,
            # Without these two a group of one deployment is never isolated.
            "allowed_fails": resilience.allowed_fails,
            "cooldown_time": resilience.cooldown_s,
            "fallbacks": [
                {route.name: [tier.group for tier in route.tiers[1:]]}
                for route in routes
                if len(route.tiers) > 1
            ],
            "model_group_alias": {
                route.name: {"model": route.target, "hidden": False}
                for route in routes
                if route.rule in (Rule.ALIAS, Rule.CAPABILITY)
            },
        },
        "litellm_settings": {"telemetry": False},
        "general_settings": {
            "master_key": f"os.environ/{registry.gateway.master_key.env}",
        },
    }
    if any(
        "rpm" in entry["litellm_params"] or "tpm" in entry["litellm_params"] for entry in model_list
    ):
        config["router_settings"]["optional_pre_call_checks"] = ["enforce_model_rate_limits"]
    if registry.gateway.metrics:
        config["litellm_settings"]["callbacks"] = ["prometheus"]
        config["litellm_settings"]["require_auth_for_metrics_endpoint"] = False
    return config


def environment(registry: Registry) -> dict[str, str]:
    """What LiteLLM reads from its environment only, whatever its configuration says."""
    return {
        # Read at import, before any configuration: without it every origin is allowed.
        "LITELLM_CORS_ORIGINS": ",".join(registry.gateway.cors_origins),
        # No look-up of the price map at start: the gateway starts offline.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        # The aiohttp transport reuses connections llama-server has just closed (500s).
        "DISABLE_AIOHTTP_TRANSPORT": "True",
    }


def required_variables(registry: Registry) -> dict[str, str]:
    """Environment variables that must hold a secret, with the place that asks for each."""
    wanted = {
        registry.gateway.master_key.env: str(registry.position(("gateway", "master_key", "env"))),
    }
    for provider_id, provider in registry.providers.items():
        if provider.enabled and provider.api_key is not None:
            wanted.setdefault(
                provider.api_key.env,
                str(registry.position(("providers", provider_id, "api_key", "env"))),
            )
    return wanted


def _deployments(registry: Registry, routes: list[Route]) -> Iterator[Deployment]:
    seen: set[str] = set()
    wildcards = [
        resolve(registry, pattern.prefix + "*")
        for pattern in registry.routes.patterns
        if pattern.route is not None
    ]
    for route in [*routes, *wildcards]:
        if not isinstance(route, Route):
            continue
        for deployment in route.tiers[0].deployments:
            if deployment.id not in seen:
                seen.add(deployment.id)
                yield deployment


def _entry(
    registry: Registry, deployment: Deployment, endpoints: Mapping[str, str]
) -> dict[str, Any]:
    provider = registry.provider(deployment.provider)
    model = registry.model(deployment.provider, deployment.model)
    adapter = _ADAPTER[provider.type]
    root = endpoints.get(deployment.provider) or registry.origin(deployment.provider)
    params: dict[str, Any] = {
        "model": f"{adapter}/{deployment.served_as}",
        "custom_llm_provider": adapter,
        "api_base": root if adapter in _NATIVE_PATHS else root + provider.api_path,
        "timeout": registry.resilience.timeout_s,
        "stream_timeout": registry.resilience.stream_timeout_s,
        **_key(provider, adapter),
        **_limits(provider),
    }
    if len(_group(registry, deployment)) > 1:
        params["weight"] = deployment.weight
    info: dict[str, Any] = {
        "id": deployment.id,
        "mode": model.mode,
        "max_input_tokens": model.context_length,
    }
    if model.max_output is not None:
        info["max_output_tokens"] = model.max_output
    return {"model_name": deployment.group, "litellm_params": params, "model_info": info}


def _group(registry: Registry, deployment: Deployment) -> tuple[Deployment, ...]:
    route = resolve(registry, deployment.group)
    return route.tiers[0].deployments if isinstance(route, Route) else (deployment,)


def _key(provider: Provider, adapter: str) -> dict[str, str]:
    if provider.api_key is not None:
        return {"api_key": f"os.environ/{provider.api_key.env}"}
    return {} if adapter == "ollama_chat" else {"api_key": _NO_KEY}


def _limits(provider: Provider) -> dict[str, int]:
    if provider.rate_limits is None:
        return {}
    limits = {
        "rpm": provider.rate_limits.rpm,
        "tpm": provider.rate_limits.tpm,
        "max_parallel_requests": provider.rate_limits.max_parallel,
    }
    return {name: value for name, value in limits.items() if value is not None}


_HEADER = """\
# GENERATED by `harness generate` - do not edit: `harness generate --check` and the gate
# refuse a hand edit. Change providers.yaml, model-mappings.yaml or ports.yaml instead.
# sources-sha256: {sources}
"""


def _yaml(registry: Registry, config: Mapping[str, Any]) -> str:
    body = yaml.safe_dump(
        dict(config), sort_keys=False, allow_unicode=True, default_flow_style=False, width=100
    )
    return (
        _HEADER.format(sources=registry.sha256)
        + f"# Start LiteLLM with the settings of {ENV_FILE}: only its environment takes them.\n"
        + body
    )


def _env(registry: Registry) -> str:
    settings = "".join(f"{name}={value}\n" for name, value in environment(registry).items())
    secrets = "".join(f"#   {name}\n" for name in required_variables(registry))
    return (
        _HEADER.format(sources=registry.sha256)
        + settings
        + "# Secrets the gateway needs in its environment; they are never written to a file:\n"
        + secrets
    )
