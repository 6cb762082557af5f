"""From two behaviours to the changes between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.gateway.plan.chains import Step, compare_chains
from harness.gateway.plan.change import Change, Kind, Severity
from harness.gateway.plan.deployments import compare_groups
from harness.gateway.plan.settings import compare_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.plan.behaviour import Behaviour, Hop, Route


def compare(before: Behaviour, after: Behaviour) -> Iterator[Change]:
    """Every change: names that go, routes that change, names that come, settings.

    Empty exactly where the behaviours are equal, and no name whose tries differ is left
    out: a difference of names or order is told by the route itself, one of servers by their
    group, with the routes it affects.
    """
    names = dict.fromkeys((*before.routes, *after.routes))
    for name in names:
        if name not in after.routes:
            yield _removed(before.routes[name])
    for name in names:
        if name in before.routes and name in after.routes:
            yield from _compare_route(before, after, name)
    yield from _compare_ties(before, after)
    through = _through(before, after)
    for group in before.groups:
        if group in after.groups:
            affects = tuple(name for name in through[group] if name != group)
            old, new = before.groups[group], after.groups[group]
            yield from compare_groups(group, old, new, affects=affects)
    for name in names:
        if name not in before.routes:
            yield _added(after, after.routes[name])
    yield from compare_settings(before.settings, after.settings)


def _through(before: Behaviour, after: Behaviour) -> dict[str, dict[str, None]]:
    through = before.names_through()
    for group, names in after.names_through().items():
        through.setdefault(group, {}).update(names)
    return through


def _removed(route: Route) -> Change:
    return Change(
        kind=Kind.NAME_REMOVED,
        subject=route.name,
        does="disappears: requests for it are refused",
        severity=Severity.BREAKING,
        before=_described(route),
    )


def _added(behaviour: Behaviour, route: Route) -> Change:
    fallbacks = ", ".join(hop.asked for hop in route.tries[1:])
    described = _described(route) + (f", then {fallbacks}" if fallbacks else "")
    if route.target != route.name and route.target in behaviour.routes:
        described = f"stands for {route.target}" + (f", then {fallbacks}" if fallbacks else "")
    return Change(
        kind=Kind.NAME_ADDED,
        subject=route.name,
        does=f"is new: {described}",
        severity=Severity.ADDITION,
        after=described,
    )


def _described(route: Route) -> str:
    """Who answers first: each model with its server."""
    seen = dict.fromkeys(
        f"{entry['model']} at {entry['server']}" if entry["server"] else entry["model"]
        for entry in route.tries[0].entries
    )
    return "answered by " + " or ".join(seen)


def _compare_route(before: Behaviour, after: Behaviour, name: str) -> Iterator[Change]:
    old, new = before.routes[name], after.routes[name]
    if _step(before, old.tries[0]).key != _step(after, new.tries[0]).key:
        yield Change(
            kind=Kind.NAME_RETARGETED,
            subject=name,
            does=_retargeted(old, new),
            severity=Severity.CHANGE,
            before=old.target,
            after=new.target,
        )
    if old.listed != new.listed:
        yield Change(
            kind=Kind.NAME_LISTED if new.listed else Kind.NAME_UNLISTED,
            subject=name,
            does="is listed by /v1/models now"
            if new.listed
            else "is no longer listed by /v1/models, though it is still answered",
            severity=Severity.CHANGE,
            before="listed" if old.listed else "not listed",
            after="listed" if new.listed else "not listed",
        )
    regular = _steps(before, old.tries), _steps(after, new.tries)
    yield from compare_chains(name, *regular)
    for noun, hops in (
        ("fallback for long prompts", (old.when_too_long, new.when_too_long)),
        ("fallback for refused content", (old.when_refused, new.when_refused)),
    ):
        steps = _steps(before, hops[0]), _steps(after, hops[1])
        if _keys(steps) != _keys(regular):
            yield from compare_chains(name, *steps, noun=noun)


def _retargeted(old: Route, new: Route) -> str:
    if new.target == new.name:
        return f"is a group of its own now, no longer served as {old.target}"
    if old.target == old.name:
        return f"is served as {new.target} now, no longer a group of its own"
    if new.target == old.target:
        return f"is served by other deployments of {new.target}"
    return f"stands for {new.target} instead of {old.target}"


def _keys(steps: tuple[list[Step], list[Step]]) -> list[list[tuple[str, ...]]]:
    return [[step.key for step in side] for side in steps]


def _steps(behaviour: Behaviour, tries: tuple[Hop, ...]) -> list[Step]:
    return [_step(behaviour, hop) for hop in tries[1:]]


def _step(behaviour: Behaviour, hop: Hop) -> Step:
    """A hop that uses a part of its group, or fills a pattern, is told apart by which."""
    if hop.entries == behaviour.groups[hop.target]:
        return Step((hop.target,), hop.asked)
    orders = sorted({entry["order"] for entry in hop.entries})
    return Step((hop.target, hop.asked, *orders), hop.asked)


def _compare_ties(before: Behaviour, after: Behaviour) -> Iterator[Change]:
    for first, second in sorted(after.ties - before.ties):
        if (second, first) in before.ties:
            subject, other = sorted((first, second))
            yield Change(
                kind=Kind.PATTERNS_REORDERED,
                subject=subject,
                does=f"is asked {'before' if subject == first else 'after'} {other} now, "
                "where both match",
                severity=Severity.CHANGE,
                before=f"{second}, {first}",
                after=f"{first}, {second}",
                affects=(other,),
            )
