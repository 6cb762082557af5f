"""What LiteLLM would do with a configuration: who answers each name, then who else.

Read from and compared with the router of LiteLLM 1.106.2 (``router.py``,
``router_utils/fallback_event_handlers.py``, ``router_utils/pattern_match_deployments.py``).
Left out, because it depends on the price map or on the caller: names completed by an inferred
provider (``gpt-4`` matching ``openai/*``), teams, tags, access groups and routing groups.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.gateway.plan.entries import (
    NEVER,
    Entry,
    EntryReader,
    alone,
    filled,
    first_level,
    up_to,
)
from harness.gateway.plan.providers import PROVIDERS
from harness.gateway.plan.values import Leaf, Path, PlanError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST_HOPS = 5
_DEEPEST_FOLLOWED = 100
_ERRORS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")


@dataclass(frozen=True, slots=True)
class Hop:
    """One group that is tried. ``asked`` is the name that led there, perhaps an alias."""

    target: str
    entries: tuple[Entry, ...]
    asked: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Route:
    """What happens to one name: its own group first, then each fallback.

    ``listed`` says whether ``/v1/models`` shows the name. The two other chains are what
    is tried when the prompt is too long and when it is refused for its content.
    """

    name: str
    target: str
    listed: bool
    tries: tuple[Hop, ...]
    when_too_long: tuple[Hop, ...]
    when_refused: tuple[Hop, ...]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A configuration, resolved for some names; equal behaviours serve them alike.

    ``groups`` holds what can be reached by some name, all deployments of one upstream model
    among them, as LiteLLM looks for a name it knows nothing else about; ``ties`` the pairs
    of equally long patterns of which the first is asked first where both match.
    """

    routes: Mapping[str, Route]
    groups: Mapping[str, tuple[Entry, ...]]
    ties: frozenset[tuple[str, str]]
    settings: Mapping[Path, Leaf]

    def names_through(self) -> dict[str, dict[str, None]]:
        """For each group, every name whose tries include it, in the order of the file."""
        through: dict[str, dict[str, None]] = {}
        for route in self.routes.values():
            for hop in (*route.tries, *route.when_too_long, *route.when_refused):
                through.setdefault(hop.target, {})[route.name] = None
        return through


class Table:
    """A parsed LiteLLM configuration, to look names up in.

    Raises:
        PlanError: not the shape of a LiteLLM configuration; LiteLLM would not start from it.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._router = _mapping(config, "router_settings")
        self._settings = _mapping(config, "litellm_settings")
        self._raw = self._read_model_list()
        self._aliases = self._read_aliases()
        self._chains = {error: _Chains(self._fallbacks(error)) for error in _ERRORS}

    def names(self) -> tuple[str, ...]:
        """Every name written down: groups, patterns among them, then aliases."""
        return tuple(dict.fromkeys((*self._raw, *self._aliases)))

    def route(self, name: str) -> Route | None:
        """What happens to ``name``; None where the gateway refuses it."""
        found = self._group(name)
        if found is None:
            return None
        tries = self._tries(name, "fallbacks")
        # Once set for any group they replace the regular chain of every group.
        too_long, refused = (
            self._tries(name, error) if self._chains[error] else tries for error in _ERRORS[1:]
        )
        alias = self._aliases.get(name)
        listed = name in self._raw or (alias is not None and not alias[1])
        return Route(name, found[0], listed, tries, too_long, refused)

    def behaviour(self, names: Iterable[str], settings: Mapping[Path, Leaf]) -> Behaviour:
        """What happens to ``names``, beside settings that were read elsewhere."""
        routes = {name: route for name in names if (route := self.route(name)) is not None}
        groups = {
            hop.target: self._entries.get(hop.target, hop.entries)
            for route in routes.values()
            for hop in (*route.tries, *route.when_too_long, *route.when_refused)
        }
        return Behaviour(routes, groups, frozenset(self._ties()), settings)

    def _read_model_list(self) -> dict[str, list[Mapping[str, Any]]]:
        entries = self._config.get("model_list") or []
        if not isinstance(entries, list):
            raise PlanError(
                "model_list is no list, LiteLLM would not start from this file. "
                "Restore it from a backup or generate it again."
            )
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for number, entry in enumerate(entries):
            params = entry.get("litellm_params") if isinstance(entry, Mapping) else None
            if not isinstance(params, Mapping) or "model_name" not in entry:
                raise PlanError(
                    f"model_list[{number}] has no model_name or no litellm_params, LiteLLM would "
                    "not start from this file. Restore it from a backup or generate it again."
                )
            groups.setdefault(str(entry["model_name"]), []).append(entry)
        return groups

    def _read_aliases(self) -> dict[str, tuple[str, bool]]:
        aliases: dict[str, tuple[str, bool]] = {}
        for name, item in _mapping(self._router, "model_group_alias").items():
            target = item.get("model") if isinstance(item, Mapping) else item
            if isinstance(target, str) and target:
                hidden = isinstance(item, Mapping) and bool(item.get("hidden"))
                aliases[str(name)] = (target, hidden)
        return aliases

    def _fallbacks(self, error: str) -> list[tuple[str, list[Any]]]:
        written = self._router.get(error) or self._settings.get(error) or []
        pairs = [
            (str(source), targets)
            for one in (written if isinstance(written, list) else [])
            if isinstance(one, Mapping)
            for source, targets in one.items()
            if isinstance(targets, list)
        ]
        default = self._router.get("default_fallbacks") or self._settings.get("default_fallbacks")
        if error == "fallbacks" and isinstance(default, list):
            pairs.append(("*", default))
        return pairs

    @cached_property
    def _entries(self) -> dict[str, tuple[Entry, ...]]:
        reader = EntryReader(self._router, self._settings)
        return {name: reader.group(raw) for name, raw in self._raw.items()}

    @cached_property
    def _by_id(self) -> dict[str, str]:
        return {
            entry.id: name
            for name, entries in self._entries.items()
            for entry in entries
            if entry.id is not None
        }

    @cached_property
    def _by_model(self) -> dict[str, tuple[Entry, ...]]:
        """The deployments of each upstream model; of an order, only the first level is asked."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for raw in self._raw.values():
            for entry in raw:
                found.setdefault(str(entry["litellm_params"].get("model")), []).append(entry)
        reader = EntryReader(self._router, self._settings)
        return {model: reader.group(first_level(raw)) for model, raw in found.items()}

    @cached_property
    def _patterns(self) -> list[str]:
        """The names that are patterns, in the order they are asked: the longest first."""
        return sorted((name for name in self._raw if "*" in name), key=_specificity, reverse=True)

    def _group(self, name: str) -> tuple[str, tuple[Entry, ...]] | None:
        """The group that ``name`` reaches, and its deployments as they serve this name."""
        if name not in self._raw and name in self._by_id:
            group = self._by_id[name]
            return group, tuple(alone(one) for one in self._entries[group] if one.id == name)
        aliased = name in self._aliases
        name = self._aliases[name][0] if aliased else name
        if name in self._raw:
            return name, self._entries[name]
        for pattern in self._patterns:
            if (parts := match(pattern, name)) is not None:
                served = tuple(filled(entry, name, parts) for entry in self._entries[pattern])
                # Through an alias LiteLLM does not find the later levels of a pattern.
                return pattern, up_to(1, served) if aliased else served
        if name in self._by_model:
            return name, self._by_model[name]
        return None

    def _tries(self, name: str, error: str) -> tuple[Hop, ...]:
        reached: dict[str, int] = {}
        for asked, level in self._walk(name, self._chains[error]):
            reached[asked] = max(level + 1, reached.get(asked, 0))
        hops = []
        for asked, levels in reached.items():
            found = self._group(asked) or self._served_by_default()
            if found is not None:
                target, entries = found
                whole = levels >= self._levels(asked)
                hops.append(Hop(target, entries if whole else up_to(levels, entries), asked))
        return tuple(hops)

    def _served_by_default(self) -> tuple[str, tuple[Entry, ...]] | None:
        """Inside the router, the first default fallback serves a name nobody knows."""
        for name in self._chains["fallbacks"].first_default():
            if name in self._raw:
                return name, up_to(1, self._entries[name])
        return None

    def _walk(self, name: str, chains: _Chains) -> Iterator[tuple[str, int]]:
        """The names LiteLLM tries while every one fails, as ``run_async_fallback`` does.

        Each comes with a level of its order, from 0. A target is tried once a request. A hop
        without a chain of its own resumes that of the name first asked for. The depth bounds
        nesting, not the number of tries: far down, the later levels of a group are left out.
        """
        deepest = self._router.get("max_fallbacks", self._settings.get("max_fallbacks"))
        deepest = min(deepest, _DEEPEST_FOLLOWED) if isinstance(deepest, int) else _MOST_HOPS
        done: set[str] = set()

        def attempt(asked: str, level: int, depth: int) -> Iterator[tuple[str, int]]:
            yield asked, level
            if depth >= deepest:
                return
            following = [(asked, above) for above in range(level + 1, self._levels(asked))]
            targets = [*following, *((target, 0) for target in chains.after(asked, name))]
            if targets:
                done.add(asked)
            for target, order in targets:
                identity = f"{target}\n{order}" if order else target
                if identity not in done:
                    done.add(identity)
                    depth += 1
                    yield from attempt(target, order, depth)

        return attempt(name, 0, 0)

    def _levels(self, name: str) -> int:
        found = self._group(name)
        return len({entry["order"] for entry in found[1]} - {NEVER}) if found is not None else 1

    def _ties(self) -> Iterator[tuple[str, str]]:
        alike: dict[tuple[int, int], list[str]] = {}
        for name in self._patterns:
            # Of two prefixes of one length at most one matches.
            if name.index("*") != len(name) - 1 and name not in self._aliases:
                alike.setdefault(_specificity(name), []).append(name)
        for names in alike.values():
            for number, first in enumerate(names):
                for second in names[number + 1 :]:
                    heads = first.split("*")[0], second.split("*")[0]
                    if heads[0].startswith(heads[1]) or heads[1].startswith(heads[0]):
                        yield first, second


class _Chains:
    """One list of fallbacks, looked up as ``get_fallback_model_group`` does."""

    def __init__(self, pairs: Iterable[tuple[str, list[Any]]]) -> None:
        self._first: dict[str, list[str]] = {}
        self._last: dict[str, list[str]] = {}
        for source, targets in pairs:
            names = [name for target in targets if (name := _target(target)) is not None]
            self._first.setdefault(source, names)
            self._last[source] = names

    def __bool__(self) -> bool:
        return bool(self._last)

    def after(self, asked: str, first_asked: str) -> list[str]:
        """The chain of ``asked``, else that of the name first asked for, else the default."""
        for name in (asked, first_asked):
            if name in self._first:
                return self._first[name]
            provider, slash, _ = name.partition("/")
            bare = name.replace(f"{provider}/", "") if slash else name
            if provider in PROVIDERS and bare in self._last:
                return self._last[bare]
        return self._last.get("*", [])

    def first_default(self) -> list[str]:
        """What serves a name nobody knows: the first default fallback, if there is one."""
        return self._first.get("*", [])[:1]


def _mapping(config: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    value = config.get(section) or {}
    if not isinstance(value, Mapping):
        raise PlanError(
            f"{section} is no mapping, LiteLLM would not start from this file. "
            "Restore it from a backup or generate it again."
        )
    return value


def match(pattern: str, name: str) -> list[str] | None:
    """What each ``*`` of ``pattern`` stands for in ``name``, None where it does not match.

    As the regular expression LiteLLM makes of it: greedy, and not anchored at the end
    (litellm#42090), but in linear time.
    """
    head, *literals = pattern.split("*")
    if not name.startswith(head):
        return None
    parts: list[str] = []
    end = len(name)
    for number, literal in enumerate(reversed(literals)):
        start = name.rfind(literal, len(head), end)
        if start < 0:
            return None
        if number:
            parts.append(name[start + len(literal) : end])
        end = start
    return [name[len(head) : end], *reversed(parts)]


def _specificity(pattern: str) -> tuple[int, int]:
    """As LiteLLM orders the regular expressions it makes of patterns."""
    regex = re.escape(pattern).replace(r"\*", "(.*)")
    return len(regex), sum(regex.count(char) for char in r"*+?\^$|()")


def _target(written: Any) -> str | None:
    if isinstance(written, Mapping):
        written = written.get("model")
    return written if isinstance(written, str) else None
