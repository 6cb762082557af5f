"""The LiteLLM configuration, compiled from the sources.

What LiteLLM 1.106 does with each key was measured; the reasons stand beside the keys.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import yaml

from harness.gateway.litellm_mapping import mapping_report
from harness.routing import Deployment, Route, listed, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.registry import Registry
    from harness.registry.models import Model, Provider
    from harness.routing import Tier

__all__ = [
    "CONFIG_FILE",
    "ENV_FILE",
    "compile_config",
    "compile_files",
    "environment",
    "mapping_report",
    "required_variables",
]

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

_STRATEGY = {
    "weighted": "simple-shuffle",
    "least-busy": "least-busy",
    "latency-based-routing": "latency-based-routing",
}
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""The same bytes with libyaml, four times as fast."""

_SLICE = 200
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
    """The configuration as LiteLLM reads it: plain mappings, lists and scalars.

    A run, which gives ``endpoints``, gets no cache: it would answer in place of the engines.
    """
    routes = [
        route for name in listed(registry) if isinstance(route := resolve(registry, name), Route)
    ]
    model_list = [
        _entry(registry, deployment, endpoints or {}, group)
        for deployment, group in _deployments(registry, routes)
    ]
    limited = any(
        "rpm" in entry["litellm_params"] or "tpm" in entry["litellm_params"] for entry in model_list
    )
    return {
        "model_list": model_list,
        "router_settings": {
            **_router_settings(registry),
            **({"optional_pre_call_checks": ["enforce_model_rate_limits"]} if limited else {}),
            **_fallbacks(routes),
            "model_group_alias": {
                route.name: {"model": route.target, "hidden": False}
                for route in routes
                if route.name != route.target and route.target in registry.routes.exact
            },
        },
        "litellm_settings": {
            **_metrics(registry),
            **({"drop_params": True} if registry.gateway.drop_params else {}),
            **({} if endpoints is not None else _cache(registry)),
            **_total_budget(registry),
        },
        "general_settings": {
            "master_key": f"os.environ/{registry.gateway.master_key.env}",
        },
    }


def _router_settings(registry: Registry) -> dict[str, Any]:
    resilience = registry.resilience
    groups = registry.load_balancing.values()
    strategy = next((balancer.strategy for balancer in groups), "weighted")
    settings: dict[str, Any] = {
        # One for all groups. rpm and tpm are weights too unless enforced below.
        "routing_strategy": _STRATEGY[strategy],
        # Otherwise a prompt that is too long is sent all the same, and refused upstream.
        "enable_pre_call_checks": True,
        # A retry on a lone deployment costs 0.5 s, 1 s, 2 s of back-off before its fallback.
        "num_retries": resilience.retries,
        # A chain is flat. Unless told, LiteLLM tries the fallbacks of a dead fallback before the
        # rest of the chain, five deep.
        "max_fallbacks": 1,
        "timeout": resilience.timeout_s,
        "stream_timeout": resilience.stream_timeout_s,
        # Without these two a group of one deployment is never isolated.
        "allowed_fails": resilience.allowed_fails,
        "cooldown_time": resilience.cooldown_s,
    }
    budgets = {
        _ADAPTER[provider.type]: {"budget_limit": budget.limit_usd, "time_period": budget.period}
        for name, budget in registry.budgets.providers.items()
        # Spending is counted by list price, which a local server has none of.
        if (provider := registry.provider(name)).enabled and provider.port is None
    }
    return settings | ({"provider_budget_config": budgets} if budgets else {})


def _fallbacks(routes: list[Route]) -> dict[str, list[dict[str, list[str]]]]:
    """Fallbacks by the name a client sends: LiteLLM resolves aliases after it has looked here.

    Once the list for one kind of error names any group, LiteLLM uses it for every group, and
    one that is not in it has no fallback. So such a list repeats the regular ones.
    """

    def table(special: Callable[[Route], tuple[Tier, ...]]) -> list[dict[str, list[str]]]:
        chains = (
            (route, [tier.group for tier in special(route)] or list(route.fallbacks))
            for route in routes
        )
        return [{route.name: groups} for route, groups in chains if groups]

    settings = {"fallbacks": table(lambda _: ())}
    if any(route.on_context_window for route in routes):
        settings["context_window_fallbacks"] = table(lambda route: route.on_context_window)
    if any(route.on_content_policy for route in routes):
        settings["content_policy_fallbacks"] = table(lambda route: route.on_content_policy)
    return settings


def _metrics(registry: Registry) -> dict[str, Any]:
    if not registry.gateway.metrics:
        return {}
    return {"callbacks": ["prometheus"], "require_auth_for_metrics_endpoint": False}


def _cache(registry: Registry) -> dict[str, Any]:
    """The cache where LiteLLM reads it: a ``cache:`` at the root of the file is ignored."""
    cache = registry.cache
    if cache is None:
        return {}
    # Redis takes whole seconds only.
    params: dict[str, Any] = {"type": cache.type, "ttl": math.ceil(cache.ttl_s)}
    if cache.service is not None:
        params["host"], params["port"] = registry.address(cache.service)
    if cache.password is not None:
        params["password"] = f"os.environ/{cache.password.env}"
    if cache.namespace is not None:
        params["namespace"] = cache.namespace
    return {"cache": True, "cache_params": params}


def _total_budget(registry: Registry) -> dict[str, Any]:
    total = registry.budgets.total
    return {"max_budget": total.limit_usd, "budget_duration": total.period} if total else {}


def environment(registry: Registry) -> dict[str, str]:
    """What LiteLLM reads from its environment only, whatever its configuration says."""
    return {
        # Read at import, before any configuration: without it every origin is allowed, and also
        # where it is empty. A lone comma is a list of none.
        "LITELLM_CORS_ORIGINS": ",".join(registry.gateway.cors_origins) or ",",
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
    if registry.cache is not None and registry.cache.password is not None:
        wanted.setdefault(
            registry.cache.password.env, str(registry.position(("cache", "password", "env")))
        )
    return wanted


def _deployments(
    registry: Registry, routes: list[Route]
) -> Iterator[tuple[Deployment, tuple[Tier, ...]]]:
    """Every deployment once, with the tiers of its group."""
    seen: set[str] = set()
    open_ends = [
        resolve(registry, f"{text}*")
        for pattern in registry.routes.patterns
        if pattern.route is not None
        for text, is_open in pattern.outlines
        if is_open
    ]
    for route in [*routes, *open_ends]:
        if not isinstance(route, Route):
            continue
        for tier in route.own:
            for deployment in tier.deployments:
                if deployment.id not in seen:
                    seen.add(deployment.id)
                    yield deployment, route.own


def _entry(
    registry: Registry,
    deployment: Deployment,
    endpoints: Mapping[str, str],
    group: tuple[Tier, ...],
) -> dict[str, Any]:
    provider = registry.provider(deployment.provider)
    model = registry.catalogue(deployment.provider)[deployment.model]
    adapter = _ADAPTER[provider.type]
    root = endpoints.get(deployment.provider) or registry.origin(deployment.provider)
    params: dict[str, Any] = {
        **_upstream(adapter, deployment.served_as),
        "api_base": root if adapter in _NATIVE_PATHS else root + provider.api_path,
        "timeout": registry.resilience.timeout_s,
        "stream_timeout": registry.resilience.stream_timeout_s,
        **_key(provider, adapter),
        **_limits(provider),
    }
    if group[0].strategy == "weighted" and sum(len(tier.deployments) for tier in group) > 1:
        params["weight"] = deployment.weight
    if deployment.order is not None:
        params["order"] = deployment.order
    return {
        "model_name": deployment.group,
        "litellm_params": params,
        "model_info": _info(deployment, model, adapter),
    }


def _upstream(adapter: str, served_as: str) -> dict[str, str]:
    """Which adapter asks for which model.

    The adapter stands in a key of its own, which the health probe needs, and not in front of
    the model too: with both, LiteLLM puts it there once more when it looks for the context
    length, finds none, and sends prompts that do not fit. A model whose own name has a slash
    keeps the prefix, or LiteLLM would take the part before the slash for an adapter.
    """
    if "/" in served_as:
        return {"model": f"{adapter}/{served_as}"}
    return {"model": served_as, "custom_llm_provider": adapter}


def _info(deployment: Deployment, model: Model, adapter: str) -> dict[str, Any]:
    info: dict[str, Any] = {
        "id": deployment.id,
        "mode": model.mode,
        # Without it LiteLLM takes an Ollama model for one of "ollama", not of "ollama_chat", and
        # again finds no context length.
        "litellm_provider": adapter,
        "max_input_tokens": model.context_length,
    }
    if model.max_output is not None:
        info["max_output_tokens"] = model.max_output
    return info


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
    models = config["model_list"]
    rest = {name: value for name, value in config.items() if name != "model_list"}
    # In slices: PyYAML holds the tree of what it writes, which for thousands is slow.
    slices = (models[at : at + _SLICE] for at in range(0, len(models), _SLICE))
    body = "model_list:\n" + "".join(map(_dump, slices)) + _dump(rest)
    return (
        _HEADER.format(sources=registry.sha256)
        + f"# Start LiteLLM with the settings of {ENV_FILE}: only its environment takes them.\n"
        + body
    )


def _dump(value: Any) -> str:
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )
    return text


def _env(registry: Registry) -> str:
    settings = "".join(f"{name}={value}\n" for name, value in environment(registry).items())
    secrets = "".join(f"#   {name}\n" for name in required_variables(registry))
    return (
        _HEADER.format(sources=registry.sha256)
        + settings
        + "# Secrets the gateway needs in its environment; they are never written to a file:\n"
        + secrets
    )
