"""Cache and budgets: where LiteLLM reads them, and where the sources say them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_import.addresses import ENV_NAME, is_loopback, needs_none, variable_of
from harness.gateway.litellm_import.report import Kind
from harness.gateway.litellm_import.waiting import seconds, section
from harness.registry.drafting import unused
from harness.registry.models.base import YEAR_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.gateway.litellm_import.report import Report
    from harness.registry.drafting import Draft
    from harness.registry.writing import Node

_PERIOD = re.compile(r"[1-9][0-9]{0,3}[smhdw]")
_ID = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
_SECTION = "litellm_settings"


def cache(config: Mapping[str, Any], draft: Draft, report: Report) -> None:
    """A cache in memory, or in a Redis of this machine; any other stays unsupported."""
    library = section(config, _SECTION)
    params = section(library, "cache_params")
    kind, ttl = params.get("type"), seconds(params.get("ttl"))
    if library.get("cache") is not True or kind not in ("redis", "local"):
        return
    at = (_SECTION, "cache_params")
    if ttl is None or ttl > YEAR_S:
        message = "The sources need to know how long an answer is kept; the cache is left out."
        report.claim(
            (*at, "type"), Kind.MANUAL, message, remedy="Give ttl, in seconds, at most a year."
        )
        return
    found: dict[str, Node] = {"type": kind, "ttl_s": ttl}
    if kind == "redis" and not _redis(params, found, draft, report):
        return
    if isinstance(name := params.get("namespace"), str) and _ID.fullmatch(name):
        found["namespace"] = name
        report.exact((*at, "namespace"))
    draft.cache = found
    for path in ((_SECTION, "cache"), (*at, "type"), (*at, "ttl")):
        report.exact(path)


def _redis(params: Mapping[str, Any], found: dict[str, Node], draft: Draft, report: Report) -> bool:
    """Enter the service and the password; False where it cannot be a service of this machine."""
    at = (_SECTION, "cache_params")
    host, port = params.get("host"), params.get("port")
    number = int(str(port)) if str(port).isdecimal() and len(str(port)) < 6 else 0
    taken = {provider.port for provider in draft.providers.values()}
    if not isinstance(host, str) or not is_loopback(host) or not 0 < number < 65_536:
        message = "A cache of the sources is a service in ports.yaml; this one is elsewhere."
        report.claim(at, Kind.UNSUPPORTED, message)
        return False
    if number in taken:
        return False
    service = unused("redis", (*draft.providers, "gateway"))
    draft.services[service] = {"port": number, "protocol": "tcp", "owner": "unknown"}
    found["service"] = service
    report.exact((*at, "host"))
    report.exact((*at, "port"))
    password = params.get("password")
    if not needs_none(password):
        variable = variable_of(password)
        if variable is not None and ENV_NAME.fullmatch(variable):
            report.exact((*at, "password"))
        else:
            variable = "REDIS_PASSWORD"
            message = "The password stands in the file; REDIS_PASSWORD stands for it now."
            report.claim((*at, "password"), Kind.APPROXIMATED, message, rule="GW504")
        found["password"] = {"env": variable}
    return True


def budgets(config: Mapping[str, Any], draft: Draft, report: Report) -> None:
    """Spending limits: of a remote provider that is alone with its adapter, and of everything."""
    limits: dict[str, Node] = {}
    given = section(section(config, "router_settings"), "provider_budget_config")
    for adapter, value in given.items():
        path = ("router_settings", "provider_budget_config", adapter)
        theirs = [p for p in draft.providers.values() if _adapter(p.type) == adapter]
        budget = value if isinstance(value, dict) else {}
        found = _budget(budget.get("budget_limit"), budget.get("time_period"))
        if found is not None and len(theirs) == 1 and theirs[0].port is None:
            limits[theirs[0].id] = found
            report.exact((*path, "budget_limit"))
            report.exact((*path, "time_period"))
        else:
            message = f"A budget is one remote provider's; {len(theirs)} are reached by {adapter}."
            report.claim(path, Kind.UNSUPPORTED, message)
    if limits:
        draft.budgets["providers"] = limits
    library = section(config, _SECTION)
    total = _budget(library.get("max_budget"), library.get("budget_duration"))
    if total is not None:
        draft.budgets["total"] = total
        report.exact((_SECTION, "max_budget"))
        report.exact((_SECTION, "budget_duration"))


def _adapter(kind: str) -> str:
    """The adapter the generator takes for a provider type."""
    return {"ollama": "ollama_chat", "anthropic": "anthropic"}.get(kind, "openai")


def _budget(limit: Any, period: Any) -> Node | None:
    number = seconds(limit)
    if number is None or number > 1e9 or not isinstance(period, str):
        return None
    return {"limit_usd": number, "period": period} if _PERIOD.fullmatch(period) else None
