"""From ``router_settings`` and its neighbours to resilience, the gateway and rate limits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_import.addresses import ENV_NAME, needs_none, variable_of
from harness.gateway.litellm_import.fallbacks import Lists, fallback_lists
from harness.gateway.litellm_import.report import Kind
from harness.gateway.litellm_import.waiting import section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.gateway.litellm_import.groups import Placed
    from harness.gateway.litellm_import.report import Report
    from harness.registry.drafting import Draft
    from harness.registry.rule import Path
    from harness.registry.source import Document

_SECTIONS = ("router_settings", "litellm_settings")
MASTER_KEY = "LITELLM_MASTER_KEY"
ENFORCE = "enforce_model_rate_limits"
_LIMITS = {"rpm": "rpm", "tpm": "tpm", "max_parallel_requests": "max_parallel"}
_SECRET = re.compile(
    r"(?i)((api|access|private|master|salt|secret|auth)_?key|secret|password|authorization|token)$"
)


def strategy(config: Mapping[str, Any], placed: Placed, draft: Draft, report: Report) -> None:
    """How a deployment of a group is picked: one way for all groups."""
    path = ("router_settings", "routing_strategy")
    given = section(config, "router_settings").get("routing_strategy")
    names = [entry.group for entry in placed]
    if given in ("least-busy", "latency-based-routing"):
        draft.strategy = given
    if given in (None, "simple-shuffle", draft.strategy) or len(set(names)) == len(names):
        report.exact(path)
    else:
        report.claim(path, Kind.APPROXIMATED, "Members of a group are picked by weight.")
    checks = ("router_settings", "enable_pre_call_checks")
    if section(config, "router_settings").get("enable_pre_call_checks") is True:
        report.exact(checks)
    else:
        message = "The generated gateway refuses a prompt too long for a model before it is sent."
        report.claim(checks, Kind.APPROXIMATED, message)
        report.say("GW501", ("router_settings",), message)


def fallbacks(config: Mapping[str, Any], key: str = "fallbacks") -> tuple[Lists, list[str]]:
    """Fallbacks by name with their place, and what every other name falls back to.

    ``key`` is ``fallbacks``, ``context_window_fallbacks`` or ``content_policy_fallbacks``.

    ``router_settings`` comes first; of two lists for one name the first counts, of two for all
    names the last (``Router.__init__``, ``get_fallback_model_group``).
    """
    sections = [section(config, name) for name in _SECTIONS]
    chosen = next((k for k, each in enumerate(sections) if each.get(key)), 0)
    lists: Lists = {}
    default: list[str] = []
    for path, name, targets in fallback_lists(sections[chosen].get(key)):
        if name == "*":
            default = targets
        else:
            lists.setdefault(name, ((_SECTIONS[chosen], key, *path), targets))
    for each in sections if key == "fallbacks" else ():
        every = each.get("default_fallbacks")
        if isinstance(every, list) and every:
            default = [target for target in every if isinstance(target, str)]
            break
    return lists, default


def claim_defaults(config: Mapping[str, Any], report: Report) -> None:
    """Classify the lists that hold for every name."""
    note = "Every name without fallbacks of its own gets a chain with these."
    for name in _SECTIONS:
        report.claim((name, "default_fallbacks"), Kind.APPROXIMATED, note)
        for path, key, _ in fallback_lists(section(config, name).get("fallbacks")):
            if key == "*":
                report.claim((name, "fallbacks", *path), Kind.APPROXIMATED, note)


def gateway(config: Mapping[str, Any], draft: Draft, report: Report) -> None:
    """The master key, metrics, and the settings that every generated file has anyway."""
    path = ("general_settings", "master_key")
    key = section(config, "general_settings").get("master_key")
    variable = variable_of(key)
    draft.master_key = variable if variable and ENV_NAME.fullmatch(variable) else MASTER_KEY
    if key is None:
        message = f"The gateway has no master key; the sources need one: {MASTER_KEY}."
        report.say("GW502", path, message, f"Set {MASTER_KEY} in the environment.")
    elif variable == draft.master_key:
        report.exact(path)
    elif variable is not None:
        message = f"The sources write variables in capitals: {MASTER_KEY}."
        report.claim(path, Kind.APPROXIMATED, message)
    else:
        message = f"The master key stands in the file; {MASTER_KEY} stands for it now."
        report.claim(path, Kind.APPROXIMATED, message, rule="GW504")
    library = section(config, "litellm_settings")
    draft.metrics = measures(config)
    _claim_callbacks(library, report)
    if isinstance(drop := library.get("drop_params"), bool):
        draft.drop_params = drop
        report.exact((_SECTIONS[1], "drop_params"))
    at = (_SECTIONS[1], "require_auth_for_metrics_endpoint")
    if library.get(at[1]) is False:
        report.exact(at)
    elif at[1] in library:
        report.claim(at, Kind.APPROXIMATED, "The generated gateway shows metrics without a key.")


def measures(config: Mapping[str, Any]) -> bool:
    """Whether the gateway exposes Prometheus metrics."""
    library = section(config, "litellm_settings")
    return any(
        "prometheus" in (value if isinstance(value, list) else [value])
        for key in ("callbacks", "success_callback", "failure_callback")
        if (value := library.get(key)) is not None
    )


def _claim_callbacks(library: Mapping[str, Any], report: Report) -> None:
    for key in ("callbacks", "success_callback", "failure_callback"):
        value, path = library.get(key), ("litellm_settings", key)
        if value == "prometheus":
            report.exact(path)
        for index, name in enumerate(value if isinstance(value, list) else ()):
            if name == "prometheus":
                report.exact((*path, index))


def limits(config: Mapping[str, Any], placed: Placed, draft: Draft, report: Report) -> None:
    """Rate limits belong to a provider: the smallest its deployments give."""
    checks = section(config, "router_settings").get("optional_pre_call_checks")
    enforced = isinstance(checks, list) and ENFORCE in checks
    given: dict[tuple[str, str], list[int | None]] = {}
    for entry, (provider, _) in placed.items():
        for key in _LIMITS:
            given.setdefault((provider, key), []).append(_limit(entry.params.get(key)))
    for provider in {provider for provider, _ in given}:
        draft.providers[provider].limits = {
            ours: min(numbers)
            for key, ours in _LIMITS.items()
            if (numbers := [n for n in given[provider, key] if n is not None])
        }
    for entry, (provider, _) in placed.items():
        for key in _LIMITS.keys() & entry.params.keys():
            path = (*entry.path, "litellm_params", key)
            if len(set(given[provider, key])) > 1:
                message = f"{provider} has one {key} for all its deployments: the smallest."
                report.claim(path, Kind.APPROXIMATED, message)
            elif enforced or key == "max_parallel_requests":
                report.exact(path)
            else:
                message = f"LiteLLM takes {key} for a weight here; it becomes an enforced limit."
                report.claim(path, Kind.APPROXIMATED, message)
    if isinstance(checks, list) and ENFORCE in checks:
        report.exact(("router_settings", "optional_pre_call_checks", checks.index(ENFORCE)))


def _limit(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if whole else None


def secrets(document: Document, report: Report) -> None:
    """Report every literal under a name of a secret that nothing else has spoken of."""
    for path, value in _leaves(document.value, ()):
        name = next((step for step in reversed(path) if isinstance(step, str)), "")
        literal = isinstance(value, str) and not needs_none(value) and not variable_of(value)
        if literal and _SECRET.search(name) and not report.claimed(path):
            message = f"{name} looks like a secret; it was not copied."
            report.claim(path, Kind.UNSUPPORTED, message, rule="GW504")


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every scalar with the way to it."""
    if isinstance(value, dict | list):
        steps = value.items() if isinstance(value, dict) else enumerate(value)
        for step, inner in steps:
            yield from _leaves(inner, (*path, step))
    else:
        yield path, value
