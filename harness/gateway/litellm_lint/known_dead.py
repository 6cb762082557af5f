"""Where people who wrote a dead key were going: remedies a near name would not give."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_CACHE = "Write litellm_settings: {cache: true, cache_params: {type: redis, ttl: 3600}}."
_QUEUE = (
    "LiteLLM has no queue to configure; general_settings.max_in_flight_requests_per_worker and "
    "max_queued_requests_per_worker limit what waits."
)
_LIMITS = (
    "Put rpm, tpm or max_parallel_requests into the litellm_params of each deployment, and "
    "enforce_model_rate_limits into router_settings.optional_pre_call_checks."
)
_ORDER = "Give the deployments of one group litellm_params.order: 1, 2, ... instead."
_BUDGET = "Write litellm_settings: {max_budget: 10, budget_duration: 1d}."
_JWT = "Move it to general_settings."

INSTEAD: Mapping[tuple[str, str], str] = {
    ("top", "cache"): _CACHE,
    ("top", "cache_params"): _CACHE,
    ("top", "cors"): "Set LITELLM_CORS_ORIGINS in the environment of the gateway.",
    ("top", "queue_config"): _QUEUE,
    ("top", "model_limits"): _LIMITS,
    ("top", "enable_jwt_auth"): _JWT,
    ("top", "litellm_jwtauth"): _JWT,
    ("general_settings", "queue_config"): _QUEUE,
    ("general_settings", "cors"): "Set LITELLM_CORS_ORIGINS in the environment of the gateway.",
    ("litellm_settings", "queue_config"): _QUEUE,
    ("router_settings", "queue_config"): _QUEUE,
    ("litellm_settings", "model_limits"): _LIMITS,
    ("router_settings", "model_limits"): _LIMITS,
    ("litellm_settings", "max_budget_per_day"): _BUDGET,
    ("general_settings", "max_budget_per_day"): _BUDGET,
    ("litellm_settings", "telemetry"): "Remove it: LiteLLM no longer has telemetry.",
    ("litellm_settings", "prometheus_adapter"): "Write litellm_settings.callbacks: [prometheus].",
    ("cache_params", "cache_key_pattern"): "Use cache_params.namespace for a prefix of the keys; "
    "what else goes into a key is fixed.",
    ("litellm_params", "failover_only"): _ORDER,
    ("litellm_params", "priority"): _ORDER,
    ("litellm_params", "region"): _ORDER,
    ("model_info", "failover_only"): _ORDER,
    ("model", "failover_only"): _ORDER,
    ("model", "priority"): _ORDER,
    ("model", "region"): _ORDER,
}
"""By part of the file and key. These count as dead whatever else the tables say."""
