"""What becomes of each source field in LiteLLM: exact, approximated, or unsupported.

The table stands beside the compiler (:mod:`harness.gateway.litellm_config`); a test walks the
schema and the table, so that no field is without an answer. What was measured, was on 1.106.2.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry import Registry


class Fate(StrEnum):
    """What the gateway makes of a field."""

    EXACT = "exact"
    """It does what the field says."""
    APPROXIMATED = "approximated"
    """It does nearly that; the note says where it differs."""
    UNSUPPORTED = "unsupported"
    """It cannot; a lint rule says so wherever somebody would rely on it."""
    HARNESS = "harness"
    """It is not for the gateway: it describes the system to the harness and to people."""


@dataclass(frozen=True)
class Mapped:
    """One field of the sources that is in use, and its fate.

    ``field`` is its path, with ``*`` for a name and ``[]`` for a place in a list; ``key`` is where
    it goes in the generated files, empty if nowhere; ``used`` counts how often it is written.
    """

    field: str
    fate: Fate
    key: str
    note: str
    used: int

    def __str__(self) -> str:
        target = f" -> {self.key}" if self.key else ""
        note = f"  ({self.note.strip('()')})" if self.note else ""
        return f"{self.fate:<12}  {self.field}{target}{note}"


_P = "providers.*."
_M = "providers.*.models[]."
_PARAMS = "model_list[].litellm_params."
_ROUTER = "router_settings."
_SETTINGS = "litellm_settings."
_E, _A, _U, _H = Fate.EXACT, Fate.APPROXIMATED, Fate.UNSUPPORTED, Fate.HARNESS

TABLE: dict[str, tuple[Fate, str, str]] = {
    "hosts.*.gpu": (_H, "", "memory is planned by the rules on capacity"),
    "hosts.*.vram_gb": (_H, "", "memory is planned by the rules on capacity"),
    f"{_P}type": (_E, f"{_PARAMS}model", "its prefix, the adapter that speaks its dialect"),
    f"{_P}port": (_E, f"{_PARAMS}api_base", ""),
    f"{_P}base_url": (_E, f"{_PARAMS}api_base", ""),
    f"{_P}api_path": (_A, f"{_PARAMS}api_base", "Ollama and Anthropic adapters use their own path"),
    f"{_P}api_key.env": (_E, f"{_PARAMS}api_key", "by reference: os.environ/NAME"),
    f"{_P}status": (_E, "model_list", "a disabled provider is left out"),
    f"{_P}region": (_A, f"{_PARAMS}order", "only as far as priorities follow it (GW129)"),
    f"{_P}priority": (_E, f"{_PARAMS}order", "levels within a load-balanced group"),
    f"{_P}failover_only": (_E, f"{_PARAMS}order", "a level after all others"),
    f"{_P}health.path": (_H, "", "LiteLLM's own /health sends a completion to every deployment"),
    f"{_P}health.expect_status": (_H, "", ""),
    f"{_P}health.timeout_s": (_H, "", ""),
    f"{_P}features[]": (_H, "", "LiteLLM does not route by features"),
    f"{_P}rate_limits.rpm": (
        _A,
        f"{_PARAMS}rpm",
        (
            "per deployment, not per provider; enforced by "
            "optional_pre_call_checks, refused with 429"
        ),
    ),
    f"{_P}rate_limits.tpm": (_A, f"{_PARAMS}tpm", "per deployment, not per provider"),
    f"{_P}rate_limits.max_parallel": (
        _A,
        f"{_PARAMS}max_parallel_requests",
        ("per deployment and worker; more are refused at once, none waits"),
    ),
    f"{_P}hardware.host": (_H, "", ""),
    f"{_P}hardware.gpu": (_H, "", ""),
    f"{_M}name": (_E, "model_list[].model_name", "behind a pattern; else the name of the route"),
    f"{_M}served_as": (_E, f"{_PARAMS}model", ""),
    f"{_M}context_length": (
        _A,
        "model_list[].model_info.max_input_tokens",
        ("the prompt alone is compared, by LiteLLM's tokenizer, before a deployment is picked"),
    ),
    f"{_M}max_output": (
        _A,
        "model_list[].model_info.max_output_tokens",
        ("told to clients, not enforced"),
    ),
    f"{_M}size_gb": (_H, "", ""),
    f"{_M}vram_gb": (_H, "", ""),
    f"{_M}quantization": (_H, "", ""),
    f"{_M}geometry.layers": (_H, "", ""),
    f"{_M}geometry.kv_heads": (_H, "", ""),
    f"{_M}geometry.head_dim": (_H, "", ""),
    f"{_M}geometry.dtype": (_H, "", ""),
    f"{_M}capabilities[]": (
        _U,
        "",
        (
            "LiteLLM asks a model whatever it can do; capability routes "
            "and chains are checked here instead (GW123, GW138)"
        ),
    ),
    f"{_M}mode": (_E, "model_list[].model_info.mode", ""),
    f"{_M}residency": (_H, "", "LiteLLM finds out by the 404 of a model that is not loaded"),
    f"{_M}specialty": (_H, "", ""),
    "public_models[]": (_A, "model_list", "/v1/models lists every name, not these alone"),
    "routes.exact.*.provider": (_E, "model_list", ""),
    "routes.exact.*.model": (_E, "model_list", ""),
    "routes.exact.*.chain": (_E, f"{_ROUTER}fallbacks", "flattened; for any error, 4xx included"),
    "routes.exact.*.context_window_chain": (
        _E,
        f"{_ROUTER}context_window_fallbacks",
        ("with the regular chains of all other names, which it replaces"),
    ),
    "routes.exact.*.content_policy_chain": (
        _E,
        f"{_ROUTER}content_policy_fallbacks",
        ("likewise; LiteLLM tells the error by its text"),
    ),
    "routes.exact.*.degrade": (_H, "", "it answers a rule (GW138)"),
    "routes.aliases.*": (_E, f"{_ROUTER}model_group_alias", "with fallbacks under its own name"),
    "routes.patterns[].match": (_E, "model_list[].model_name", "one entry a model for a provider"),
    "routes.patterns[].regex": (
        _A,
        "model_list[].model_name",
        ("written out as names and prefixes; what cannot be is refused (GW119)"),
    ),
    "routes.patterns[].provider": (_E, "model_list[].model_name", ""),
    "routes.patterns[].route": (
        _A,
        "model_list",
        ("an open end has no fallbacks: LiteLLM looks them up by the name the client sent"),
    ),
    "capabilities.*[].route": (_E, f"{_ROUTER}model_group_alias", ""),
    "capabilities.*[].priority": (_E, f"{_ROUTER}fallbacks", ""),
    "load_balancing.*.strategy": (_E, f"{_ROUTER}routing_strategy", "one for all groups (GW125)"),
    "load_balancing.*.members[].route": (_E, "model_list", ""),
    "load_balancing.*.members[].weight": (_E, f"{_PARAMS}weight", ""),
    "load_balancing.*.members[].order": (_E, f"{_PARAMS}order", ""),
    "load_balancing.*.fallbacks[]": (_E, f"{_ROUTER}fallbacks", "after the members, asked by name"),
    "fallback_chains.*[]": (_E, f"{_ROUTER}fallbacks", ""),
    "rules[].name": (_U, "", "LiteLLM picks by name alone (GW160)"),
    "rules[].when.tag": (_U, "", "its tags choose among deployments of one name (GW160)"),
    "rules[].when.min_tokens": (_U, "", "a context_window_chain comes close (GW160)"),
    "rules[].route": (_U, "", "(GW160)"),
    "cache.type": (_E, f"{_SETTINGS}cache_params.type", "a cache at the root is never read"),
    "cache.ttl_s": (_A, f"{_SETTINGS}cache_params.ttl", "rounded up to whole seconds"),
    "cache.service": (_E, f"{_SETTINGS}cache_params.host, .port", ""),
    "cache.password.env": (_E, f"{_SETTINGS}cache_params.password", "by reference"),
    "cache.namespace": (_E, f"{_SETTINGS}cache_params.namespace", ""),
    "budgets.total.limit_usd": (
        _U,
        f"{_SETTINGS}max_budget",
        ("not enforced without a database (GW164)"),
    ),
    "budgets.total.period": (_U, f"{_SETTINGS}budget_duration", "(GW164)"),
    "budgets.providers.*.limit_usd": (
        _A,
        f"{_ROUTER}provider_budget_config",
        ("at list prices, per dialect (GW162); overspent by what is in flight"),
    ),
    "budgets.providers.*.period": (_E, f"{_ROUTER}provider_budget_config", ""),
    "queue.max_size": (_U, "", "(GW161)"),
    "queue.max_wait_s": (_U, "", "(GW161)"),
    "queue.priorities[]": (_U, "", "(GW161)"),
    "queue.overflow": (_U, "", "(GW161)"),
    "resilience.timeout_s": (_A, f"{_PARAMS}timeout", "between two reads, not for the answer"),
    "resilience.stream_timeout_s": (
        _A,
        f"{_PARAMS}stream_timeout",
        ("between two reads; comments in a stream keep it alive"),
    ),
    "resilience.retries": (_E, f"{_ROUTER}num_retries", ""),
    "resilience.allowed_fails": (_E, f"{_ROUTER}allowed_fails", "counted within cooldown_s"),
    "resilience.cooldown_s": (_A, f"{_ROUTER}cooldown_time", "a Retry-After of the server wins"),
    "gateway.type": (_H, "", ""),
    "gateway.port": (_E, "", "an argument of the process"),
    "gateway.cors_origins[]": (_E, "LITELLM_CORS_ORIGINS", "environment only"),
    "gateway.master_key.env": (_E, "general_settings.master_key", "by reference"),
    "gateway.metrics": (_E, f"{_SETTINGS}callbacks", ""),
    "gateway.drop_params": (_E, f"{_SETTINGS}drop_params", ""),
    "gateway.health.path": (_H, "", ""),
    "gateway.health.expect_status": (_H, "", ""),
    "gateway.health.timeout_s": (_H, "", ""),
    "host": (_E, f"{_PARAMS}api_base", ""),
    "services.*.port": (_E, f"{_PARAMS}api_base", ""),
    "services.*.protocol": (_H, "", ""),
    "services.*.owner": (_H, "", ""),
    "services.*.optional": (_H, "", ""),
}
"""Fate, key and note of every field, by its path."""

_NAMED = frozenset(
    {
        ("hosts",), ("providers",), ("routes", "exact"), ("routes", "aliases"), ("capabilities",),
        ("load_balancing",), ("fallback_chains",), ("budgets", "providers"), ("services",),
    }
)  # fmt: skip
"""Mappings whose keys are names of ours, not keys of the schema."""


def mapping_report(registry: Registry) -> list[Mapped]:
    """Every field the sources use, in the order of the table, with what becomes of it."""
    used: Counter[str] = Counter()
    for document in registry.documents.values():
        used.update(_leaves(document.value, (), ""))
    return [
        Mapped(field, fate, key, note, used[field])
        for field, (fate, key, note) in TABLE.items()
        if used[field]
    ]


def _leaves(value: Any, path: tuple[str, ...], shown: str) -> Iterator[str]:
    """The field of each scalar below ``value``."""
    if isinstance(value, dict):
        for key, item in value.items():
            step = "*" if path in _NAMED else key
            yield from _leaves(item, (*path, step), f"{shown}.{step}" if shown else step)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, (*path, "[]"), f"{shown}[]")
    elif value is not None:
        yield shown
