"""How everything beside the routes differs: retries, breaker, metrics, cache, budgets, CORS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.gateway.plan.change import Change, Kind, Severity
from harness.gateway.plan.values import Leaf, Path, flatten, leaf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENVIRONMENT = "environment"
"""First part of the path of a variable in the gateway's environment file."""

_ORIGINS = "LITELLM_CORS_ORIGINS"
_ROUTE_KEYS = {
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "default_fallbacks",
    "model_group_alias",
}
_DEFAULTS: dict[Path, Any] = {
    ("router_settings", "routing_strategy"): "simple-shuffle",
    ("router_settings", "enable_pre_call_checks"): False,
    ("router_settings", "max_fallbacks"): 5,
}
"""Spelt out or not, these mean the same. The breaker is not among them: unset, it never opens
for a group of one deployment."""

_SETS = {"callbacks", "success_callback", "failure_callback", "optional_pre_call_checks"}
"""Lists whose order decides nothing."""

_TOPICS = {
    "retries": "num_retries retry_after retry_policy model_group_retry_policy max_fallbacks",
    "circuit breaker": "allowed_fails allowed_fails_policy cooldown_time disable_cooldowns",
    "timeouts": "timeout stream_timeout request_timeout",
    "routing": "routing_strategy routing_strategy_args enable_pre_call_checks "
    "optional_pre_call_checks enable_tag_filtering enable_weighted_failover",
    "cache": "cache cache_params cache_responses caching_groups redis_host redis_port redis_url "
    "redis_password redis_db",
    "budgets": "max_budget budget_duration provider_budget_config max_user_budget",
    "queue": "max_in_flight_requests_per_worker max_queued_requests_per_worker "
    "admission_queue_timeout_seconds default_priority polling_interval "
    "max_parallel_requests global_max_parallel_requests",
    "metrics": "callbacks success_callback failure_callback require_auth_for_metrics_endpoint "
    "prometheus_metrics_config",
    "parameters": "drop_params modify_params",
    "access": "master_key allowed_ips allowed_routes",
    "browser origins": _ORIGINS,
}
_TOPIC_OF = {key: topic for topic, keys in _TOPICS.items() for key in keys.split()}
_SECONDS = {"timeout", "stream_timeout", "request_timeout", "cooldown_time", "retry_after", "ttl"}


def read_settings(
    config: Mapping[str, Any], environment: Mapping[str, str] | None
) -> dict[Path, Leaf]:
    """Every value outside the routes by its path; LiteLLM's defaults count as not written.

    ``environment`` is what the gateway's environment file sets, None where that is unknown.
    """
    found: dict[Path, Leaf] = {}
    for section, content in config.items():
        if section == "model_list":
            continue
        for path, value in flatten((str(section),), content).items():
            if len(path) > 1 and path[1] in _ROUTE_KEYS and path[0] != "general_settings":
                continue
            if path[-1] in _SETS and value.key[0] == "list":
                items = content if len(path) == 1 else content[path[-1]]
                found |= _members(path, items)
            elif path not in _DEFAULTS or value != leaf(path, _DEFAULTS[path]):
                found[path] = value
    if environment is not None:
        variables = dict(environment)
        # Unset or blank, LiteLLM allows every origin.
        written = variables.pop(_ORIGINS, "").strip() or "*"
        origins = (origin.strip() for origin in written.split(","))
        found |= _members((ENVIRONMENT, _ORIGINS), filter(None, origins))
        found |= flatten((ENVIRONMENT,), variables)
    return found


def compare_settings(before: Mapping[Path, Leaf], after: Mapping[Path, Leaf]) -> Iterator[Change]:
    """One change for each value that differs."""
    for path in dict.fromkeys((*before, *after)):
        old, new = before.get(path), after.get(path)
        if old != new:
            yield Change(
                kind=Kind.SETTING_CHANGED,
                subject=_topic(path),
                does=_worded(path, old, new),
                severity=Severity.CHANGE,
                before=None if old is None else _text(path, old),
                after=None if new is None else _text(path, new),
            )


def _members(path: Path, items: Any) -> dict[Path, Leaf]:
    return {(*path, str(leaf(path, item))): leaf(path, True) for item in items}


def _topic(path: Path) -> str:
    known = _TOPIC_OF.get(path[1]) if len(path) > 1 else None
    return known or (ENVIRONMENT if path[0] == ENVIRONMENT else "settings")


def _is_member(path: Path) -> bool:
    return len(path) > 2 and (path[-2] in _SETS or path[-2] == _ORIGINS)


def _worded(path: Path, old: Leaf | None, new: Leaf | None) -> str:
    name = ".".join(path[1:]) or path[0]
    if path[-2:-1] == (_ORIGINS,):
        may = "may no longer" if new is None else "may now"
        who = "pages of every origin" if path[-1] == "*" else f"pages of {path[-1]}"
        return f"{who} {may} call the gateway from a browser"
    if _is_member(path):
        return f"{path[-1]} is switched {'off' if new is None else 'on'} ({'.'.join(path[:-1])})"
    if old is None and new is not None:
        return f"{name} is set to {_text(path, new)}"
    if new is None and old is not None:
        return f"{name} is no longer set, it was {_text(path, old)}"
    if str(old) == str(new):
        return f"{name} changes (not shown)"
    return f"{name} changes from {old} to {new}" + (" s" if path[-1] in _SECONDS else "")


def _text(path: Path, value: Leaf) -> str:
    if _is_member(path):
        return "on"
    return f"{value} s" if path[-1] in _SECONDS else str(value)
