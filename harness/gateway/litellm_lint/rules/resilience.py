"""Rules about what happens when a server fails, hangs or is full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_lint.config import FALLBACKS
from harness.gateway.litellm_lint.rule import rule
from harness.registry.finding import Severity
from harness.registry.rule import Hit
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config
    from harness.registry.rule import Path

_TIMEOUT_DEFAULT_S = 6000
_RETRIES_DEFAULT = 2
_COOLDOWN_DEFAULT_S = 5
_LONGEST_S = 6 * 3600
"""A timeout beyond this was meant in milliseconds."""
_TIMEOUTS = ("timeout", "stream_timeout", "request_timeout")


def _lone_with_fallbacks(config: Config) -> dict[str, Path]:
    """The groups with one deployment that have fallbacks, and where these stand."""
    sources: dict[str, Path] = {}
    for step in config.steps("fallbacks"):
        sources.setdefault(config.aliases.get(step.source, step.source), step.path)
    defaults, path = config.setting("default_fallbacks")
    every = sources.pop("*", path if defaults else None)
    lone = [name for name, members in config.groups.items() if len(members) == 1]
    named = {name: sources[name] for name in lone if name in sources}
    return named if named or every is None or not lone else {lone[0]: every}


def _policy(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


@rule(
    "GW250",
    severity=Severity.WARNING,
    title="The breaker of a lone deployment never opens",
    why="LiteLLM cools a deployment down by itself only if its group has another. Alone, and "
    "without allowed_fails, it is asked by every request while it is down: 32 of 33 in a trial, "
    "each of which waits for its timeout first.",
    remedy="Set router_settings.allowed_fails and cooldown_time.",
    failing="""
router_settings:
  num_retries: 0
  fallbacks:
    - chat: [backup]  # <--
""",
    passing="""
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - chat: [backup]
""",
)
def no_breaker(config: Config) -> Iterator[Hit]:
    """Lone deployments with a fallback and no number of failures that is too many."""
    allowed, _ = config.setting("allowed_fails")
    if allowed is not None or _policy(config.setting("allowed_fails_policy")[0]):
        return
    for name, path in _lone_with_fallbacks(config).items():
        info = config.groups[name][0].info
        if info.get("allowed_fails") is None and not _policy(info.get("allowed_fails_policy")):
            message = f"{quoted(name)} is asked every time, however often it has failed."
            yield Hit(path, message)
            return


@rule(
    "GW251",
    severity=Severity.WARNING,
    title="There is no timeout",
    why=f"LiteLLM waits {_TIMEOUT_DEFAULT_S} s by default. A server that accepts a request and "
    "says nothing holds it that long, and no fallback begins before.",
    remedy="Set router_settings.timeout and stream_timeout, in seconds.",
    failing="""
router_settings:  # <--
  num_retries: 0
litellm_settings: {drop_params: true}
""",
    passing="""
router_settings: {num_retries: 0, timeout: 60, stream_timeout: 20}
litellm_settings: {drop_params: true}
""",
)
def no_timeout(config: Config) -> Iterator[Hit]:
    """Deployments without a timeout in a file without a general one."""
    general = config.section("router_settings").get("timeout")
    if general is not None or config.section("litellm_settings").get("request_timeout") is not None:
        return
    without = [each for each in config.deployments if each.params.get("timeout") is None]
    if without:
        part = "router_settings" if "router_settings" in config.value else "model_list"
        count = (
            "Every deployment waits"
            if len(without) == len(config.deployments)
            else (
                f"{len(without)} of {len(config.deployments)} deployments wait, "
                f"{quoted(without[0].name)} first,"
            )
        )
        yield Hit((part,), f"{count} up to {_TIMEOUT_DEFAULT_S} s.", on_key=True)


@rule(
    "GW252",
    severity=Severity.WARNING,
    title="Retries ask the server that has just failed",
    why="In a group with one deployment a retry can only ask the same server again, after a pause "
    "of up to 2 s each, before the fallback begins: 4.0 to 5.5 s on every request with the "
    f"default of {_RETRIES_DEFAULT} (litellm#40405).",
    remedy="Set router_settings.num_retries: 0, or give the group a second deployment.",
    failing="""
router_settings:
  num_retries: 2  # <--
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - chat: [backup]
""",
    passing="""
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - chat: [backup]
""",
)
def lone_retries(config: Config) -> Iterator[Hit]:
    """Retries in groups whose fallback could have answered meanwhile."""
    retries, path = config.setting("num_retries")
    number = _RETRIES_DEFAULT if retries is None else retries
    policies = config.setting("retry_policy")[0], config.setting("model_group_retry_policy")[0]
    if not isinstance(number, int) or number <= 0 or any(_policy(each) for each in policies):
        return
    lone = _lone_with_fallbacks(config)
    lone = {name: place for name, place in lone.items() if not _own_retries(config, name)}
    if lone:
        name = next(iter(lone))
        message = f"{quoted(name)} is asked {number + 1} times before its fallback."
        unset = path[:1] if path[0] in config.value else ("model_list",)
        yield Hit(path if retries is not None else unset, message, on_key=True)


def _own_retries(config: Config, name: str) -> bool:
    params = config.groups[name][0].params
    return params.get("num_retries", params.get("max_retries")) == 0


@rule(
    "GW255",
    severity=Severity.WARNING,
    title="Special fallbacks take the regular ones away from other groups",
    why="Once context_window_fallbacks, or content_policy_fallbacks, name any group, they replace "
    "fallbacks for that error in every group: one without an entry gets the error instead.",
    remedy="Add an entry for each group that has fallbacks, or one for '*'.",
    failing="""
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - chat: [backup]
  context_window_fallbacks:  # <--
    - backup: [chat]
""",
    passing="""
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - chat: [backup]
  context_window_fallbacks:
    - chat: [backup]
""",
)
def replaced(config: Config) -> Iterator[Hit]:
    """Lists for one error that leave out groups with regular fallbacks."""
    regular = {step.source for step in config.steps("fallbacks")} - {"*"}
    for key, entries, path in config.fallback_lists():
        special = {source for each in entries if isinstance(each, dict) for source in each}
        if key not in FALLBACKS[1:] or not special or "*" in special:
            continue
        lost = sorted(regular - special)
        if lost:
            names = ", ".join(map(quoted, lost[:3])) + (" and more" if len(lost) > 3 else "")
            message = f"{names} no longer fall{'s' * (len(lost) == 1)} back for this error."
            yield Hit(path, message, on_key=True)


@rule(
    "GW245",
    title="A setting stands in two sections and only one counts",
    why="LiteLLM takes these settings from router_settings, and from litellm_settings only where "
    "router_settings has none. What stands in litellm_settings is not in force.",
    remedy="Merge it into router_settings.",
    failing="""
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - chat: [backup]
litellm_settings:
  request_timeout: 60
  fallbacks:  # <--
    - backup: [chat]
""",
    passing="""
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - chat: [backup]
litellm_settings: {request_timeout: 60, num_retries: 0}
""",
)
def overruled(config: Config) -> Iterator[Hit]:
    """Settings of litellm_settings that router_settings gives another value."""
    router, module = config.section("router_settings"), config.section("litellm_settings")
    for key in (*FALLBACKS, "default_fallbacks", "num_retries", "allowed_fails"):
        here, there = module.get(key), router.get(key)
        empty = there is None or (there == [] and "fallbacks" in key)
        if here is not None and not empty and here != there:
            message = f"{key} of router_settings is in force, not this."
            yield Hit(("litellm_settings", key), message, on_key=True)


@rule(
    "GW246",
    severity=Severity.WARNING,
    title="A timeout is longer than six hours",
    why="LiteLLM counts in seconds. Written in milliseconds a timeout never ends, and a server "
    "that hangs holds its callers for days.",
    remedy="Write it in seconds.",
    failing="""
router_settings: {num_retries: 0}
litellm_settings:
  request_timeout: 600000  # <--
""",
    passing="""
router_settings: {num_retries: 0}
litellm_settings: {request_timeout: 600}
""",
)
def milliseconds(config: Config) -> Iterator[Hit]:
    """Timeouts of the whole gateway and of deployments that were not meant in seconds."""
    places: list[tuple[Path, dict[str, Any]]] = [
        ((name,), config.section(name)) for name in ("router_settings", "litellm_settings")
    ]
    places += [((*each.path, "litellm_params"), each.params) for each in config.deployments]
    for path, settings in places:
        for key in _TIMEOUTS:
            value = settings.get(key)
            if isinstance(value, int | float) and value > _LONGEST_S:
                yield Hit((*path, key), f"{value:g} seconds are {value / 3600:.1f} hours.")


@rule(
    "GW248",
    severity=Severity.WARNING,
    title="A lone deployment's breaker opens only under heavy traffic",
    why="LiteLLM remembers a failure for cooldown_time: the count starts anew that long after the "
    "first one. Where allowed_fails takes more than one failure a second, a deployment that is "
    "alone in its group is hardly ever rested, and every request tries the dead server first.",
    remedy="Lower allowed_fails, or raise cooldown_time.",
    failing="""
router_settings:
  num_retries: 0
  allowed_fails: 30  # <--
  cooldown_time: 5
  fallbacks:
    - chat: [backup]
""",
    passing="""
router_settings:
  num_retries: 0
  allowed_fails: 3
  cooldown_time: 30
  fallbacks:
    - chat: [backup]
""",
)
def heavy_traffic(config: Config) -> Iterator[Hit]:
    """A breaker of a group with a fallback that takes more failures than seconds."""
    allowed, path = config.setting("allowed_fails")
    cooldown = config.setting("cooldown_time")[0]
    cooldown = cooldown or _COOLDOWN_DEFAULT_S
    numbers = isinstance(allowed, int) and isinstance(cooldown, int | float)
    if numbers and allowed >= max(cooldown, 1) and _lone_with_fallbacks(config):
        message = f"It takes {allowed + 1} failures within {cooldown:g} s."
        yield Hit(path, message)
