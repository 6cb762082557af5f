"""How long, how often: the numbers of LiteLLM's Router, and what it does without them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_import.report import Kind
from harness.registry.writing import Noted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.gateway.litellm_import.groups import Placed
    from harness.gateway.litellm_import.report import Report
    from harness.registry.drafting import Draft
    from harness.registry.rule import Path

RETRIES, ALLOWED_FAILS, COOLDOWN_S, TIMEOUT_S = 2, 3, 5.0, 6000.0
MAX_FALLBACKS = 5
"""What LiteLLM 1.106 does where the file is silent (router.py, constants.py)."""
_MAX_S = 86_400


def section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A root section as a mapping; empty where it is none."""
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def seconds(value: Any) -> float | None:
    """A duration LiteLLM would use: a positive number. It takes 0 for nothing said."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return None
    return float(value)


def timeouts(config: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[float, float]:
    """Longest wait for a plain answer and for a stream of one deployment, in seconds.

    The order is that of ``Router._get_timeout``: deployment, request_timeout (only beside a
    router timeout), router, request_timeout, LiteLLM's own 6000 s. A stream without a limit of
    its own has the other.
    """
    router, library = section(config, "router_settings"), section(config, "litellm_settings")
    request = seconds(library.get("request_timeout"))
    beside = request if seconds(router.get("timeout")) is not None else None
    own = seconds(params.get("timeout")) or seconds(params.get("request_timeout"))
    whole = own or beside or seconds(router.get("timeout")) or request or TIMEOUT_S
    stream = seconds(params.get("stream_timeout")) or seconds(router.get("stream_timeout"))
    return whole, stream or beside or whole


def resilience(config: Mapping[str, Any], placed: Placed, draft: Draft, report: Report) -> None:
    """Fill ``draft.resilience``; what the file leaves to LiteLLM is written out and noted."""
    effective = [timeouts(config, entry.params) for entry in placed]
    router = section(config, "router_settings")
    common = [Counter(pair[index] for pair in effective).most_common(1)[0][0] for index in (0, 1)]
    whole, stream = (min(value, _MAX_S) for value in common)
    for index, key, value in ((0, "timeout", whole), (1, "stream_timeout", stream)):
        settings: list[Path] = [("router_settings", key)]
        settings += [("litellm_settings", "request_timeout")] if index == 0 else []
        settings += [(*entry.path, "litellm_params", key) for entry in placed]
        for path in settings:
            _claim_number(config, path, value, report)
    silent = not any(
        seconds(source.get("timeout") or source.get("request_timeout"))
        for source in (router, section(config, "litellm_settings"), *(e.params for e in placed))
    )
    note = "LiteLLM's default, 100 minutes: a server that hangs never causes a fallback"
    draft.resilience["timeout_s"] = Noted(whole, behind=note if silent else "")
    draft.resilience["stream_timeout_s"] = stream
    _number(config, ("num_retries",), "retries", RETRIES, 10, draft, report)
    _number(config, ("allowed_fails",), "allowed_fails", ALLOWED_FAILS, 1000, draft, report)
    _number(config, ("cooldown_time",), "cooldown_s", COOLDOWN_S, _MAX_S, draft, report)
    if silent:
        message = "No timeout is set, so LiteLLM waits 6000 s for a server that hangs."
        remedy = "Write the longest silence you accept as timeout_s in model-mappings.yaml."
        report.say("GW502", ("model_list",), message, remedy)


def nested(config: Mapping[str, Any]) -> bool:
    """Whether the fallbacks of a fallback are tried too, as far down as anybody goes."""
    return number_of(config, "max_fallbacks", MAX_FALLBACKS) > 1


def claim_depth(config: Mapping[str, Any], report: Report) -> None:
    """Say what becomes of ``max_fallbacks``: chains are flat, and as long as it takes."""
    depth = number_of(config, "max_fallbacks", MAX_FALLBACKS)
    for name in ("router_settings", "litellm_settings"):
        path = (name, "max_fallbacks")
        if 1 < depth < MAX_FALLBACKS or depth < 1:
            report.claim(path, Kind.APPROXIMATED, "A chain is followed to its end.")
        else:
            report.exact(path, "Chains are flat; fallbacks of fallbacks stand in them.")


def number_of(config: Mapping[str, Any], key: str, default: float) -> float:
    """A number of the Router, from either section that may hold it, or its default."""
    for name in ("router_settings", "litellm_settings"):
        value = section(config, name).get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return default if key == "cooldown_time" and value == 0 else value
    return default


def _number(
    config: Mapping[str, Any],
    keys: tuple[str],
    into: str,
    default: float,
    most: float,
    draft: Draft,
    report: Report,
) -> None:
    (key,) = keys
    value = min(number_of(config, key, default), most)
    value = value if key == "cooldown_time" else int(value)
    given = any(key in section(config, name) for name in ("router_settings", "litellm_settings"))
    draft.resilience[into] = Noted(value, behind="" if given else "LiteLLM's default")
    for name in ("router_settings", "litellm_settings"):
        _claim_number(config, (name, key), value, report)


def _claim_number(config: Mapping[str, Any], path: Path, value: float, report: Report) -> None:
    """Exact if the number at ``path`` is the one that was taken."""
    found: Any = config
    for step in path:
        if isinstance(found, list) and isinstance(step, int):
            found = found[step]
        elif isinstance(found, dict) and step in found:
            found = found[str(step)]
        else:
            return
    if isinstance(found, int | float) and not isinstance(found, bool) and found == value:
        report.exact(path)
    else:
        number = f"{value:g}"
        report.claim(path, Kind.APPROXIMATED, f"One {path[-1]} holds for all: {number}.")
