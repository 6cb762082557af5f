"""Rules about values of the wrong kind, most of which LiteLLM takes in silence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_lint.config import ENVIRONMENT, FALLBACKS, SHARED
from harness.gateway.litellm_lint.kinds import allowed, misfit, words_for
from harness.gateway.litellm_lint.rule import rule
from harness.registry.rule import Hit
from harness.registry.wording import quoted, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config
    from harness.registry.rule import Path

_SECTIONS = {
    "include": list,
    "model_list": list,
    "litellm_settings": dict,
    "router_settings": dict,
    "general_settings": dict,
    "environment_variables": dict,
}
_STARTED_BY_NAME = {"callbacks", "post_call_rules", "pre_call_rules"}
"""Keys of litellm_settings that take a dotted name instead of a list."""
_DURATION = re.compile(r"\d+(s|m|h|d|w|mo)|hourly|daily|weekly|monthly")
_PERIODS = re.compile(r"(\w+_)?budget_duration|time_period|maximum_\w+_retention_(period|interval)")
_AMOUNTS = re.compile(
    r"(\w+_)?(timeout|retries|fails|cooldown_time|retry_after|ttl|interval|max_budget|weight"
    r"|max_fallbacks|rpm|tpm|max_parallel_requests|max_input_tokens|max_tokens)"
)
_BUDGET = {"budget_limit", "time_period", "max_budget", "budget_duration"}

Setting = tuple[str, str, Any, "Path"]
"""Part of the file, key, value and place."""


def settings(config: Config) -> Iterator[Setting]:
    """Every setting with a name that LiteLLM knows or might know."""
    parts: list[tuple[str, Any, Path]] = [
        (name, config.value.get(name), (name,)) for name in (*SHARED, "general_settings")
    ]
    cache = config.section("litellm_settings").get("cache_params")
    parts.append(("cache_params", cache, ("litellm_settings", "cache_params")))
    for index, entry in config.entries:
        parts += [
            (name, entry.get(name), ("model_list", index, name))
            for name in ("litellm_params", "model_info")
        ]
    for name, value, path in parts:
        for key, each in value.items() if isinstance(value, dict) else ():
            yield name, key, each, (*path, key)


@rule(
    "GW211",
    title="A part of the file has the wrong shape",
    why="LiteLLM ends with a traceback, or walks over the letters of a word as if each were an "
    "entry.",
    remedy="Look at the indentation and the dashes of this part.",
    failing="""
model_list:
  model_name: chat  # <--
  litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
""",
)
def sections(config: Config) -> Iterator[Hit]:
    """Parts that are no list or mapping where they must be one."""
    for name, kind in _SECTIONS.items():
        value = config.value.get(name)
        if value is not None and not isinstance(value, kind):
            what = "a list" if kind is list else "a mapping"
            yield Hit((name,), f"{name} is {words_for(value)}, not {what}.")
    entries = config.value.get("model_list")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if not isinstance(entry, dict):
            yield Hit(("model_list", index), f"The entry is {words_for(entry)}, not a mapping.")
            continue
        for part in ("litellm_params", "model_info"):
            if part in entry and not isinstance(entry[part], dict):
                message = f"{part} is {words_for(entry[part])}, not a mapping."
                yield Hit(("model_list", index, part), message, on_key=True)


@rule(
    "GW212",
    title="A value is of the wrong kind",
    why="LiteLLM checks few values when it starts: text where a number belongs fails at the first "
    "request that needs it, a quoted false counts as true, a word counts as its letters, and a "
    "deployment with such a value is dropped without a word.",
    remedy="Write it as LiteLLM declares it; seconds have no unit.",
    failing="""
router_settings:
  num_retries: three  # <--
  cooldown_time: 5
""",
    passing="router_settings: {num_retries: 3, cooldown_time: 5, routing_strategy: least-busy}",
)
def kinds(config: Config) -> Iterator[Hit]:
    """Values that do not fit the annotation of their key."""
    for part, key, value, path in settings(config):
        if isinstance(value, str) and value.startswith(ENVIRONMENT):
            continue
        if key in FALLBACKS or key == "model_group_alias":
            continue  # GW215 and GW216 look into them
        if part == "litellm_settings" and key in _STARTED_BY_NAME and "." in str(value):
            continue
        fits = allowed(config.known.kind(part, key), config.known.choices)
        lenient = part not in SHARED or (part == "litellm_settings" and "whole" not in fits.kinds)
        wrong = misfit(value, fits, lenient=lenient and not _flag(part, fits.kinds))
        if wrong:
            yield Hit(path, f"{key} is {wrong}.")


def _flag(part: str, kinds_: frozenset[str]) -> bool:
    """Whether text would be taken for a switch that is on."""
    return part != "litellm_params" and "boolean" in kinds_


@rule(
    "GW213",
    title="A value is none of those LiteLLM knows",
    why="LiteLLM compares the word with those it knows and, finding none, ends, or goes on as if "
    "it did not stand there.",
    remedy="Use one of the known ones.",
    failing="""
router_settings:
  num_retries: 0
  routing_strategy: round-robin  # <--
""",
    passing="router_settings: {num_retries: 0, routing_strategy: least-busy}",
)
def choices(config: Config) -> Iterator[Hit]:
    """Words that are not among those an annotation, or an enumeration, lists."""
    for part, key, value, path in settings(config):
        words = allowed(config.known.kind(part, key), config.known.choices)
        known = list(words.words)
        if (part, key) == ("model_info", "mode"):
            known = list(config.known.names["modes"])
        elif words.open or not known:
            continue
        yield from _none_of(value, known, key, path)
    for key, value, path, names in _enumerated(config):
        yield from _none_of(value, config.known.names[names], key, path)
    providers = sorted(config.known.providers)
    budgets = config.section("router_settings").get("provider_budget_config")
    for name in budgets if isinstance(budgets, dict) else ():
        if name not in providers:
            message = f"{quoted(name)} is no provider that LiteLLM has."
            path = ("router_settings", "provider_budget_config", name)
            yield Hit(path, message, suggest(name, providers), on_key=True)


def _enumerated(config: Config) -> Iterator[tuple[str, Any, Path, str]]:
    """Key, value and place of what an enumeration of LiteLLM lists, and the name of that."""
    guardrails = config.value.get("guardrails")
    for index, each in enumerate(guardrails if isinstance(guardrails, list) else ()):
        params = each.get("litellm_params") if isinstance(each, dict) else None
        path: Path = ("guardrails", index, "litellm_params", "mode")
        if isinstance(params, dict):
            yield "mode", params.get("mode"), path, "guardrail_modes"
    for name, server in config.section("mcp_servers").items():
        path = ("mcp_servers", name, "transport")
        if isinstance(server, dict):
            yield "transport", server.get("transport"), path, "mcp_transports"
    for each in config.deployments:
        key = "supported_environments"
        yield key, each.info.get(key), (*each.path, "model_info", key), "environments"


def _none_of(value: Any, known: list[str], key: str, path: Path) -> Iterator[Hit]:
    """Hits for a word, or words of a list, that are not among the known ones."""
    several = isinstance(value, list)
    for index, each in enumerate(value if several else [value]):
        if isinstance(each, str) and each not in known and not each.startswith(ENVIRONMENT):
            message = f"{quoted(each)} is no {key} that LiteLLM has."
            yield Hit((*path, index) if several else path, message, suggest(each, known))


@rule(
    "GW214",
    title="An amount is impossible",
    why="LiteLLM takes negative times and counts, and periods in words, and fails later: every "
    "request times out, or the budget is never reset.",
    remedy="Give a number of zero or more; a period as 30s, 10m, 1h, 7d or 1mo.",
    failing="""
router_settings:
  num_retries: 0
  timeout: -5  # <--
""",
    passing="""
router_settings: {num_retries: 0, timeout: 30}
litellm_settings: {request_timeout: 60, max_budget: 10, budget_duration: 30d}
""",
)
def amounts(config: Config) -> Iterator[Hit]:
    """Negative numbers, and periods nobody can parse."""
    nested = [
        ("provider_budget_config", key, value, ("router_settings", "provider_budget_config", *path))
        for *path, key, value in _budgets(config)
    ]
    for _, key, value, path in (*settings(config), *nested):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and value < 0 and _AMOUNTS.fullmatch(key):
            yield Hit(path, f"{key} is negative.")
        given = isinstance(value, str) and not value.startswith(ENVIRONMENT)
        if given and _PERIODS.fullmatch(key) and not _DURATION.fullmatch(value.strip().lower()):
            yield Hit(path, f"{quoted(value)} is no period.")


def _budgets(config: Config) -> Iterator[tuple[Any, ...]]:
    """Provider, key, key again and value of each setting of a provider's budget."""
    found = config.section("router_settings").get("provider_budget_config")
    for provider, budget in found.items() if isinstance(found, dict) else ():
        for key, value in budget.items() if isinstance(budget, dict) else ():
            yield provider, key, key, value


@rule(
    "GW215",
    title="A list of fallbacks has the wrong shape",
    why="It is a list of mappings with one key each, the group, and a list of groups below it. "
    "LiteLLM ends on some other shapes and falls back to the letters of a word on others.",
    remedy="Write: fallbacks: [{group: [first, second]}].",
    failing="""
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - chat: backup  # <--
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
def fallback_shape(config: Config) -> Iterator[Hit]:
    """Lists of fallbacks, their entries and their targets."""
    for name in SHARED:
        for key in FALLBACKS:
            value = config.section(name).get(key)
            if value is not None and not isinstance(value, list):
                yield Hit((name, key), f"{key} is {words_for(value)}, not a list.")
            for index, entry in enumerate(value if isinstance(value, list) else ()):
                yield from _entry(entry, (name, key, index))
        value = config.section(name).get("default_fallbacks")
        for index, each in enumerate(value if isinstance(value, list) else ()):
            if not isinstance(each, str | dict):
                message = f"The fallback is {words_for(each)}, not a name."
                yield Hit((name, "default_fallbacks", index), message)


def _entry(entry: Any, path: Path) -> Iterator[Hit]:
    if not isinstance(entry, dict):
        yield Hit(path, f"The entry is {words_for(entry)}, not a mapping.")
        return
    if len(entry) != 1:
        yield Hit(path, f"The entry has {len(entry)} groups; LiteLLM takes one in each.")
    for source, targets in entry.items():
        if not isinstance(targets, list):
            message = f"The targets of {quoted(source)} are {words_for(targets)}, not a list."
            yield Hit((*path, source), message)
            continue
        for place, target in enumerate(targets):
            named = target.get("model") if isinstance(target, dict) else target
            if not isinstance(named, str):
                message = f"The target is {words_for(target)}, not a name."
                yield Hit((*path, source, place), message)


@rule(
    "GW216",
    title="An alias or a provider's budget has the wrong shape",
    why="model_group_alias maps a name to a name, or to {model: name, hidden: bool}; "
    "provider_budget_config maps a provider to {budget_limit: number, time_period: period}.",
    remedy="Write it in that form.",
    failing="""
router_settings:
  num_retries: 0
  model_group_alias:
    - gpt-4: chat  # <--
""",
    passing="""
router_settings:
  num_retries: 0
  model_group_alias: {gpt-4: chat, gpt-4o: {model: chat, hidden: true}}
  provider_budget_config: {openai: {budget_limit: 10, time_period: 1d}}
""",
)
def nested_shape(config: Config) -> Iterator[Hit]:
    """Values of two settings that hold mappings of their own."""
    found = config.section("router_settings")
    for key in ("model_group_alias", "provider_budget_config"):
        value, path = found.get(key), ("router_settings", key)
        if value is not None and not isinstance(value, dict):
            yield Hit(path, f"{key} is {words_for(value)}, not a mapping.")
        for name, each in value.items() if isinstance(value, dict) else ():
            if key == "model_group_alias":
                target = each.get("model") if isinstance(each, dict) else each
                if not isinstance(target, str):
                    yield Hit((*path, name), f"The alias {quoted(name)} leads to no name.")
            elif not isinstance(each, dict) or not _BUDGET & each.keys():
                yield Hit((*path, name), f"The budget of {quoted(name)} has no budget_limit.")


@rule(
    "GW218",
    title="A zero counts as nothing",
    why="LiteLLM takes a zero here for a value that is not set: a timeout of zero is its default "
    "of 6000 s, a cooldown of zero its default of 5 s.",
    remedy="Give the time that is meant; disable_cooldowns: true switches cooldowns off.",
    failing="""
router_settings:
  num_retries: 0
  timeout: 0  # <--
litellm_settings: {request_timeout: 60}
""",
    passing="""
router_settings: {num_retries: 0, timeout: 30, disable_cooldowns: true}
litellm_settings: {request_timeout: 60}
""",
)
def zero(config: Config) -> Iterator[Hit]:
    """Times of router_settings that are zero."""
    for key in ("timeout", "cooldown_time"):
        value = config.section("router_settings").get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == 0:
            yield Hit(("router_settings", key), f"LiteLLM uses its default {key} instead of zero.")
