"""From aliases and fallback lists to aliases, capabilities and chains."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_import.report import Kind
from harness.registry.drafting import unused
from harness.registry.wording import quoted, suggest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from harness.gateway.litellm_import.report import Report
    from harness.registry.drafting import Draft
    from harness.registry.rule import Path

_ID = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
Lists = dict[str, tuple["Path", list[str]]]
"""Fallbacks by name, each with the place of its list."""


def alias_target(value: Any) -> str | None:
    """What an entry of ``model_group_alias`` stands for: a name, or a mapping with one."""
    found = value.get("model") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def fallback_lists(value: Any) -> Iterator[tuple[Path, str, list[str]]]:
    """The usable entries of a ``fallbacks`` list: path inside it, key, targets.

    Of a mapping with several keys LiteLLM reads the first (``get_fallback_model_group``).
    """
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, dict) and item:
            key, targets = next(iter(item.items()))
            if isinstance(targets, list):
                yield (index, key), key, [t for t in targets if isinstance(t, str)]


def aliases(value: Any, at: Path, draft: Draft, report: Report) -> None:
    """Enter every alias that leads to an exact name, or to a balanced group under its name."""
    for alias, entry in value.items() if isinstance(value, dict) else ():
        path = (*at, alias)
        target = alias_target(entry)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}", alias) or target is None:
            report.claim(path, Kind.UNSUPPORTED, "The sources cannot hold this alias.")
        elif alias == target:
            report.exact(path, "An alias of itself says nothing.")
        elif alias in draft.exact or alias in draft.balanced:
            message = f"{quoted(alias)} is a group too; LiteLLM takes the alias, the group stays."
            report.claim(path, Kind.APPROXIMATED, message)
        elif target in draft.exact:
            draft.aliases[alias] = target
            draft.public.append(alias)
            _claim_hidden(entry, path, report)
        elif target in draft.balanced:
            draft.balanced[alias] = list(draft.balanced[target])
            draft.public.append(alias)
            message = f"{quoted(alias)} becomes a group of its own, with the members of {target}."
            report.claim(path, Kind.APPROXIMATED, message)
        else:
            message = f"{quoted(alias)} is an alias of {quoted(target)}, which no deployment has."
            near = suggest(target, [*draft.exact, *draft.balanced])
            report.claim(path, Kind.UNSUPPORTED, message, rule="GW506", remedy=near)


def _claim_hidden(entry: Any, path: Path, report: Report) -> None:
    report.exact(path)
    if isinstance(entry, dict) and entry.get("hidden"):
        message = "The sources list every alias in /v1/models; take it off public_models there."
        report.claim((*path, "hidden"), Kind.APPROXIMATED, message)
        return


def followed(
    targets: Iterable[str], after: Mapping[str, Sequence[str]], own: Collection[str] = ()
) -> list[str]:
    """``targets``, each with what it falls back to itself behind it; each once, ``own`` never.

    That is the order in which LiteLLM tries them unless ``max_fallbacks`` is 1.
    """
    found: list[str] = []

    def visit(names: Iterable[str]) -> None:
        for name in names:
            if name not in found and name not in own:
                found.append(name)
                visit(after.get(name, ()))

    visit(targets)
    return found


def chains(
    lists: Lists, default: list[str], draft: Draft, report: Report, *, nested: bool
) -> dict[str, list[str]]:
    """Turn fallback lists into chains; what a chain cannot say is reported at its list.

    ``default`` is tried by every name that has no list of its own. ``nested`` says that the
    fallbacks of a fallback are tried too: a chain is flat, and so they stand in it. Returned is
    what each exact name falls back to.
    """
    claim_unknown(lists, draft, report)
    wanted = {
        # A name made for a member of a group is asked by nobody yet: it needs no default.
        name: resolved(
            name, lists.get(name), default if name in draft.public else [], draft, report
        )
        for name in draft.exact
    }
    after: dict[str, list[str]] = {}
    for name, targets in wanted.items():
        after[name] = without_circles(name, targets, after, lists.get(name), report)
    behind = after if nested else {}
    after = {name: followed(targets, behind, {name}) for name, targets in after.items()}
    for name in sorted(after, key=lambda name: -len(after[name])):
        if after[name]:
            draft.exact[name].chain = chain_for(name, after[name], draft)
    for group in draft.balanced:
        _balanced(group, lists.get(group), default, behind, draft, report)
    for alias in list(draft.aliases):
        _alias(alias, lists.get(alias), default, after, behind, draft, report)
    return after


def claim_unknown(lists: Lists, draft: Draft, report: Report) -> None:
    """Report every list that stands for a name nobody has."""
    known = {*draft.exact, *draft.aliases, *draft.balanced, *draft.capabilities}
    for name, (path, _) in lists.items():
        if name not in known:
            message = f"Fallbacks are listed for {quoted(name)}, which no deployment has."
            near = suggest(name, sorted(known))
            report.claim(path, Kind.UNSUPPORTED, message, rule="GW506", remedy=near)


def resolved(
    name: str,
    listed: tuple[Path, list[str]] | None,
    default: list[str],
    draft: Draft,
    report: Report,
) -> list[str]:
    """The exact names ``name`` falls back to, in order, each once, itself never."""
    path, targets = listed or (None, default)
    own = (name, draft.aliases.get(name, name))
    found: list[str] = []
    for target in targets:
        known, why = _targets(target, draft)
        # Only a chain is held to one mode, and an alias has none of its own.
        kept = [k for k in known if name in draft.aliases or _mode(k, draft) == _mode(name, draft)]
        if len(kept) < len(known):
            why = f"{quoted(target)} answers another kind of request than {quoted(name)}."
        if why and path is not None:
            rule = "GW501" if kept else "GW506"
            report.claim(path, Kind.APPROXIMATED, why, rule=rule)
        found += [k for k in kept if k not in found and k not in own]
    if path is not None:
        _settle(path, targets, found, report)
    return found


def _settle(path: Path, targets: list[str], found: list[str], report: Report) -> None:
    if not report.claimed(path):
        if len(found) < len(targets):
            message = "A name that falls back to itself or twice to another is tried once."
            report.claim(path, Kind.APPROXIMATED, message)
        else:
            report.exact(path)


def _targets(target: str, draft: Draft) -> tuple[list[str], str]:
    """Exact names for a fallback target, and why they are not just that target."""
    name = draft.aliases.get(target, target)
    if name in draft.exact:
        return [name], ""
    if name in draft.balanced:
        return [member.route for member in draft.balanced[name]], (
            f"A chain names single routes: the members of {quoted(name)} stand in its place."
        )
    for pattern in draft.patterns:
        prefix = str(pattern["match"])[:-1]
        if name.startswith(prefix) and "route" in pattern:
            return [str(pattern["route"])], (
                f"A chain names routes, no matches of a pattern: {pattern['route']} it is."
            )
    return [], f"The fallback {quoted(target)} leads nowhere."


def _mode(name: str, draft: Draft) -> str:
    route = draft.exact[draft.balanced[name][0].route if name in draft.balanced else name]
    return draft.providers[route.provider].models[route.model].mode


def without_circles(
    name: str,
    targets: list[str],
    after: Mapping[str, list[str]],
    listed: tuple[Path, list[str]] | None,
    report: Report,
) -> list[str]:
    """``targets`` without those from which accepted fallbacks lead back to ``name``."""
    kept = [target for target in targets if not _reaches(target, name, after)]
    if len(kept) < len(targets) and listed is not None:
        gone = ", ".join(target for target in targets if target not in kept)
        message = f"{quoted(name)} and {gone} fall back to each other; one direction is kept."
        report.claim(listed[0], Kind.APPROXIMATED, message)
    return kept


def _reaches(start: str, goal: str, after: Mapping[str, list[str]]) -> bool:
    seen, waiting = set[str](), [start]
    while waiting:
        here = waiting.pop()
        if here == goal:
            return True
        if here not in seen:
            seen.add(here)
            waiting += after.get(here, [])
    return False


def chain_for(name: str, targets: list[str], draft: Draft) -> str:
    """The id of a chain that ends with ``name`` and ``targets``, made if there is none."""
    whole = [name, *targets]
    for known, names in draft.chains.items():
        if names[-len(whole) :] == whole:
            return known
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-")
    slug = slug if _ID.fullmatch(slug) else f"chain-{slug}".strip("-")
    made = unused(slug, draft.chains)
    draft.chains[made] = whole
    return made


def _balanced(
    group: str,
    listed: tuple[Path, list[str]] | None,
    default: list[str],
    behind: Mapping[str, list[str]],
    draft: Draft,
    report: Report,
) -> None:
    """What a group falls back to beside its members, which are asked by name before all else."""
    found = followed(resolved(group, listed, default, draft, report), behind)
    members = {member.route for member in draft.balanced[group]}
    draft.fallbacks[group] = [name for name in found if name not in members]
    known = after_group(group, draft)
    if found == known:
        return
    message = f"{quoted(group)} falls back to {', '.join(known) or 'nothing'} once it has failed."
    if listed is not None and len(found) == len(listed[1]):
        report.claim(listed[0], Kind.APPROXIMATED, message)
    else:  # of the list itself something else is said
        report.say("GW501", listed[0] if listed else ("model_list",), message)


def after_group(group: str, draft: Draft) -> list[str]:
    """What a group falls back to: members that shared their level, asked by name, then others."""
    orders = [member.order for member in draft.balanced[group]]
    shared = [m.route for m in draft.balanced[group] if orders.count(m.order) > 1]
    return [*shared, *draft.fallbacks.get(group, ())]


def _alias(
    alias: str,
    listed: tuple[Path, list[str]] | None,
    default: list[str],
    after: Mapping[str, list[str]],
    behind: Mapping[str, list[str]],
    draft: Draft,
    report: Report,
) -> None:
    """An alias has the chain of its target; with a list of its own it becomes a capability."""
    target = draft.aliases[alias]
    inherited = after[target]
    own = followed(resolved(alias, listed, default, draft, report), behind, {target})
    if own == inherited:
        return
    targets = _candidates([target, *own], after)
    hidden = any(alias.startswith(str(pattern["match"])[:-1]) for pattern in draft.patterns)
    if targets is None or not _ID.fullmatch(alias) or len(alias) > 64 or hidden:
        message = f"{quoted(alias)} falls back as its target {quoted(target)} does."
        if listed is not None:
            report.claim(listed[0], Kind.APPROXIMATED, message)
        else:
            report.say("GW501", ("router_settings", "model_group_alias", alias), message)
        return
    del draft.aliases[alias]
    draft.capabilities[alias] = targets
    for name in targets:
        route = draft.exact[name]
        model = draft.providers[route.provider].models[route.model]
        if alias not in model.capabilities:
            model.capabilities.append(alias)


def _candidates(whole: list[str], after: Mapping[str, list[str]]) -> list[str] | None:
    """Names whose chains, one after the other, give ``whole``; None if there are none."""
    chosen: list[str] = []
    covered: list[str] = []
    for name in whole:
        if name not in covered:
            chosen.append(name)
            covered += [n for n in (name, *after[name]) if n not in covered]
    return chosen if covered == whole else None
