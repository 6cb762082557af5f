"""What a LiteLLM configuration makes the gateway do, and how two of them differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.gateway.litellm_import import settings
from harness.gateway.litellm_import.addresses import (
    DEFAULTS,
    address_of,
    is_loopback,
    needs_none,
    variable_of,
)
from harness.gateway.litellm_import.entries import split_adapter
from harness.gateway.litellm_import.fallbacks import alias_target, followed
from harness.gateway.litellm_import.groups import level, shares
from harness.gateway.litellm_import.waiting import (
    ALLOWED_FAILS,
    COOLDOWN_S,
    RETRIES,
    nested,
    number_of,
    section,
    timeouts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Meaning:
    """A configuration with defaults filled in and spelling evened out.

    ``groups`` hold the deployments of each name as facts by their words, ``fallbacks`` what each
    name or alias is followed by, ``router`` the numbers that hold for all.
    """

    groups: Mapping[str, tuple[Mapping[str, Any], ...]]
    aliases: Mapping[str, str]
    fallbacks: Mapping[str, tuple[str, ...]]
    special: Mapping[str, tuple[str, ...]]
    """Fallbacks for one kind of error, where they are not the regular ones."""
    router: Mapping[str, Any]


def meaning(config: Mapping[str, Any]) -> Meaning:
    """The meaning of a configuration as LiteLLM 1.106 reads it; any mapping has one.

    Left out is what changes no request: ids of deployments, settings of the log, the order of
    groups. Deployments of one group are in no order.
    """
    listed: dict[str, list[Mapping[str, Any]]] = {}
    entries = config.get("model_list")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("litellm_params"), dict):
            listed.setdefault(str(entry.get("model_name")), []).append(entry)
    groups = {name: _group(config, found) for name, found in listed.items()}
    given = section(config, "router_settings").get("model_group_alias")
    aliases = {
        alias: target
        for alias, value in (given.items() if isinstance(given, dict) else ())
        if (target := alias_target(value)) is not None and target != alias
    }
    names = (*groups, *aliases)
    regular = _fallbacks(config, "fallbacks", names, aliases)
    special: dict[str, tuple[str, ...]] = {}
    for kind in ("context_window", "content_policy"):
        if any(settings.fallbacks(config, f"{kind}_fallbacks")):
            other = _fallbacks(config, f"{kind}_fallbacks", names, aliases)
            special |= {
                f"{name}, {kind}": other.get(name, ())
                for name in names
                if other.get(name, ()) != regular.get(name, ())
            }
    if nested(config):
        direct = regular
        regular = {
            name: tuple(followed(targets, direct, {name, aliases.get(name, name)}))
            for name, targets in regular.items()
        }
    return Meaning(groups, aliases, regular, special, _router(config, groups))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """How a gateway run with ``after`` would behave otherwise than with ``before``, in sentences.

    Both are configurations as LiteLLM loads them. Empty means semantically equal: the same
    groups, each with the same deployments (adapter, model, address, key variable, timeouts,
    share, order, mode, limits that hold), the same aliases, fallback lists and Router numbers.
    Spelling does not count: a default written out, ``localhost`` for 127.0.0.1, another order.
    """
    old, new = meaning(before), meaning(after)
    return [
        *_tables("group", old.groups, new.groups, _deployments),
        *_tables("alias", old.aliases, new.aliases, _value),
        *_tables("fallbacks of", old.fallbacks, new.fallbacks, _value),
        *_tables("special fallbacks of", old.special, new.special, _value),
        *_tables("setting", old.router, new.router, _value),
    ]


def _tables(
    what: str, old: Mapping[str, Any], new: Mapping[str, Any], compare: Any
) -> Iterator[str]:
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            yield f"{what} {name!r} is gone"
        elif name not in old:
            yield f"{what} {name!r} is new"
        elif old[name] != new[name]:
            yield from compare(f"{what} {name!r}", old[name], new[name])


def _value(what: str, old: object, new: object) -> Iterator[str]:
    yield f"{what}: {_shown(old)} becomes {_shown(new)}"


def _deployments(
    what: str, old: tuple[Mapping[str, Any], ...], new: tuple[Mapping[str, Any], ...]
) -> Iterator[str]:
    """The facts in which deployments at one place of a group differ."""
    if len(old) != len(new):
        yield f"{what} had {len(old)} deployments and has {len(new)}"
        return
    for before, after in _pairs(old, new):
        for fact in dict.fromkeys((*before, *after)):
            # A window counts where it is checked; that it now is checked is said once, below.
            unchecked = fact == "max_input_tokens" and not (fact in before and fact in after)
            if before.get(fact) != after.get(fact) and not unchecked:
                where = f"{what}, {before.get('model')} at {before.get('address')}: {fact}"
                yield from _value(where, before.get(fact), after.get(fact))


def _pairs(
    old: tuple[Mapping[str, Any], ...], new: tuple[Mapping[str, Any], ...]
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Deployments that belong together: by model and address, the rest in order."""
    left, right = list(old), list(new)
    for before in old:
        for after in right:
            if all(before[fact] == after[fact] for fact in ("model", "address")):
                left.remove(before)
                right.remove(after)
                yield before, after
                break
    yield from zip(left, right, strict=True)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return "nothing" if value is None else str(value)


def _group(
    config: Mapping[str, Any], entries: list[Mapping[str, Any]]
) -> tuple[Mapping[str, Any], ...]:
    params = [entry["litellm_params"] for entry in entries]
    weighted = _strategy(config) == "simple-shuffle" and len(entries) > 1
    levels = sorted({order for each in params if (order := level(each)) is not None})
    found = [
        {
            **_deployment(config, entry),
            "share": str(part) if weighted else None,
            # Only the sequence of levels counts; LiteLLM passes over what has no order.
            "level": levels.index(order) if (order := level(each)) is not None else len(levels),
        }
        for entry, each, part in zip(entries, params, shares(params), strict=True)
    ]
    return tuple(sorted(found, key=lambda facts: str(sorted(facts.items(), key=str))))


def _deployment(config: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    params = entry["litellm_params"]
    info = entry.get("model_info")
    info = info if isinstance(info, dict) else {}
    adapter, model = split_adapter(params)
    whole, stream = timeouts(config, params)
    facts: dict[str, Any] = {
        "model": model,
        "adapter": adapter,
        "address": _address(params, adapter),
        "key": _key(params, adapter),
        "timeout": whole,
        "stream timeout": stream,
        "mode": info.get("mode") or "chat",
        "max_parallel_requests": params.get("max_parallel_requests"),
    }
    router = section(config, "router_settings")
    if router.get("enable_pre_call_checks") is True:
        facts["max_input_tokens"] = info.get("max_input_tokens")
    checks = router.get("optional_pre_call_checks")
    if isinstance(checks, list) and settings.ENFORCE in checks:
        facts |= {key: params.get(key) for key in ("rpm", "tpm")}
    return facts


def _address(params: Mapping[str, Any], adapter: str) -> str:
    address = address_of(params, adapter)
    if address is None:
        return str(params.get("api_base") or "nowhere")
    host = "this machine" if address.local else address.host
    return f"{address.scheme}://{host}:{address.bound}{address.path}"


def _key(params: Mapping[str, Any], adapter: str) -> str | None:
    """The variable a key is taken from; None without a key."""
    value = params.get("api_key")
    if value is None:
        base, implied = DEFAULTS.get(adapter, ("", None))
        address = address_of(params, adapter)
        there = address is not None and address.host == urlsplit(base).hostname
        return implied if there else None
    return None if needs_none(value) else variable_of(value) or "a literal"


def _fallbacks(
    config: Mapping[str, Any], key: str, names: tuple[str, ...], aliases: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """What each name is followed by: aliases resolved, itself and repetitions left out."""
    lists, default = settings.fallbacks(config, key)
    found = {}
    for name in names:
        _, targets = lists.get(name, ((), default))
        own = (name, aliases.get(name))
        after = [real for target in targets if (real := aliases.get(target, target)) not in own]
        if after:
            found[name] = tuple(dict.fromkeys(after))
    return found


def _router(config: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, Any]:
    router, library = section(config, "router_settings"), section(config, "litellm_settings")
    balanced = any(len(found) > 1 for found in groups.values())
    key = section(config, "general_settings").get("master_key")
    return {
        "num_retries": number_of(config, "num_retries", RETRIES),
        "allowed_fails": number_of(config, "allowed_fails", ALLOWED_FAILS),
        "cooldown_time": number_of(config, "cooldown_time", COOLDOWN_S),
        "routing_strategy": _strategy(config) if balanced else None,
        "enable_pre_call_checks": router.get("enable_pre_call_checks") is True,
        "master_key": None if key is None else variable_of(key) or "a literal",
        "metrics": settings.measures(config),
        "drop_params": library.get("drop_params") is True,
        "cache": _cache(library),
        "provider_budget_config": router.get("provider_budget_config"),
        "max_budget": library.get("max_budget"),
        "budget_duration": library.get("budget_duration"),
    }


def _strategy(config: Mapping[str, Any]) -> str:
    return section(config, "router_settings").get("routing_strategy") or "simple-shuffle"


def _cache(library: Mapping[str, Any]) -> str | None:
    """What is cached where, its password by the name of a variable."""
    if library.get("cache") is not True:
        return None
    params = section(library, "cache_params")
    facts = {key: params.get(key) for key in ("type", "ttl", "port", "namespace")}
    host = params.get("host")
    facts["host"] = "this machine" if isinstance(host, str) and is_loopback(host) else host
    facts["password"] = variable_of(params.get("password"))
    return ", ".join(f"{key} {value}" for key, value in facts.items() if value is not None)
