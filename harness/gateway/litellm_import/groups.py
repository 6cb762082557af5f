"""From groups of deployments to names: exact, balanced, pattern."""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm
from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_import.report import Kind
from harness.registry.drafting import DraftMember, DraftRoute, unused
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.gateway.litellm_import.entries import Entry
    from harness.gateway.litellm_import.report import Report
    from harness.registry.drafting import Draft

Placed = dict["Entry", tuple[str, str]]
"""Provider id and model name of each entry."""

MAX_WEIGHT = 1000


def grouped(placed: Placed) -> dict[str, list[Entry]]:
    """Entries by group name, groups and entries in the order of the file."""
    groups: dict[str, list[Entry]] = {}
    for entry in placed:
        groups.setdefault(entry.group, []).append(entry)
    return groups


def name(placed: Placed, draft: Draft, report: Report, fallbacks: Mapping[str, list[str]]) -> None:
    """Give every group its place among the names of ``draft``.

    ``fallbacks`` by name: a group falls back to its members, so these are taken for members
    where they can be.
    """
    groups = grouped(placed)
    taken = {*groups}
    for group, entries in groups.items():
        if not entries[0].wildcard and len(entries) == 1:
            draft.exact[group] = DraftRoute(
                provider=placed[entries[0]][0], model=placed[entries[0]][1]
            )
            draft.public.append(group)
            for key in ("weight", "order"):
                report.exact((*entries[0].path, "litellm_params", key))
    for group, entries in groups.items():
        if entries[0].wildcard:
            _pattern(group, entries, placed, draft, report, taken)
        elif len(entries) > 1:
            prefer = fallbacks.get(group, [])
            _balanced(group, entries, placed, draft, report, taken, prefer)


def shares(entries: list[Mapping[str, Any]]) -> list[Fraction]:
    """Share of requests of each ``litellm_params`` in one group.

    The first of weight, rpm and tpm that any of them declares counts; with none of them all
    are equal (litellm, ``simple_shuffle``).
    """
    for metric in ("weight", "rpm", "tpm"):
        numbers = [_number(params.get(metric)) for params in entries]
        if sum(numbers) > 0:
            return [number / sum(numbers) for number in numbers]
    return [Fraction(1, len(entries))] * len(entries)


def _number(value: Any) -> Fraction:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e12:
        return Fraction(str(value))
    return Fraction(0)


def _weights(parts: list[Fraction]) -> list[tuple[int, bool]]:
    """Whole numbers in the same proportion, each with whether it is exact."""
    scale = lcm(*(part.denominator for part in parts))
    whole = [int(part * scale) for part in parts]
    divisor = gcd(*whole) or 1
    whole = [number // divisor for number in whole]
    if max(whole) <= MAX_WEIGHT and min(whole) > 0:
        return [(number, True) for number in whole]
    most = max(parts)
    near = [max(1, round(float(part / most) * MAX_WEIGHT)) for part in parts]
    return [(number, False) for number in near]


def _exact_for(
    where: tuple[str, str],
    wanted: str,
    draft: Draft,
    taken: set[str],
    prefer: Sequence[str] = (),
) -> tuple[str, bool]:
    """An exact name that leads to this model of this provider, and whether it had to be made."""
    known = [name for name, it in draft.exact.items() if (it.provider, it.model) == where]
    if known:
        return next((name for name in known if name in prefer), known[0]), False
    made = unused(wanted[:120], (*taken, *draft.exact))
    taken.add(made)
    draft.exact[made] = DraftRoute(provider=where[0], model=where[1])
    return made, True


def _balanced(
    group: str,
    entries: list[Entry],
    placed: Placed,
    draft: Draft,
    report: Report,
    taken: set[str],
    prefer: Sequence[str],
) -> None:
    """A group of several deployments: members are exact names with a weight and a level."""
    parts: dict[tuple[str, str], Fraction] = {}
    first: dict[tuple[str, str], Entry] = {}
    for entry, part in zip(entries, shares([e.params for e in entries]), strict=True):
        where = placed[entry]
        parts[where] = parts.get(where, Fraction(0)) + part
        if first.setdefault(where, entry) is not entry:
            note = f"{quoted(group)} holds this deployment twice; it stays once, with both weights."
            report.drop(entry.path, note, kind=Kind.APPROXIMATED)
    if len(first) == 1:
        (where,) = first
        draft.exact[group] = DraftRoute(provider=where[0], model=where[1])
        draft.public.append(group)
        return
    weights = _weights(list(parts.values()))
    orders = _orders(list(first.values()), report)
    members = []
    for (where, entry), weight, order in zip(first.items(), weights, orders, strict=True):
        member, made = _exact_for(where, f"{group}-{where[0]}", draft, taken, prefer)
        if made:
            note = f"The member of {quoted(group)} on {where[0]} can be asked as {member}."
            report.claim((*entry.path, "model_name"), Kind.APPROXIMATED, note)
        members.append(
            DraftMember(
                route=member,
                weight=weight[0] if draft.strategy == "weighted" else None,
                order=order,
            )
        )
        _claim_weight(entry, *weight, report)
    # In the order in which the group falls back to them, if that is told.
    places = {name: place for place, name in enumerate(prefer)}
    members.sort(key=lambda member: places.get(member.route, len(places)))
    draft.balanced[group] = members
    draft.public.append(group)


def _orders(entries: list[Entry], report: Report) -> list[int | None]:
    """The level of each entry: 1 is asked first; None for all where there is only one level.

    Where some have an order and others none, LiteLLM never comes to the others; here they are
    the last level.
    """
    given = [level(entry.params) for entry in entries]
    if len(set(given)) == 1:
        for entry in entries:
            report.exact((*entry.path, "litellm_params", "order"))
        return [None] * len(entries)
    levels = sorted({order for order in given if order is not None})
    for entry, order in zip(entries, given, strict=True):
        if order is None:
            note = f"{quoted(entry.group)} has levels; what has no order comes last."
            report.say("GW501", (*entry.path, "model_name"), note)
        report.exact((*entry.path, "litellm_params", "order"))
    return [levels.index(o) + 1 if o is not None else len(levels) + 1 for o in given]


def level(params: Mapping[str, Any]) -> int | None:
    """The ``order`` of ``litellm_params``, if it is a number."""
    value = params.get("order")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _claim_weight(entry: Entry, weight: int, exact: bool, report: Report) -> None:  # noqa: FBT001
    path = (*entry.path, "litellm_params", "weight")
    if exact:
        report.exact(path)
        return
    note = f"Weights are whole numbers from 1 to {MAX_WEIGHT}: {weight} comes nearest."
    report.claim(path, Kind.APPROXIMATED, note)
    if "weight" not in entry.params:
        report.say("GW501", (*entry.path, "model_name"), note)


def _pattern(
    group: str,
    entries: list[Entry],
    placed: Placed,
    draft: Draft,
    report: Report,
    taken: set[str],
) -> None:
    """A wildcard group: every match to one model, or the rest of the name to one server."""
    entry, *others = entries
    for other in others:
        message = f"The pattern {quoted(group)} leads to one deployment; the first stays."
        report.drop(other.path, message)
    provider, model = placed[entry]
    if model:
        target, made = _exact_for((provider, model), model, draft, taken)
        draft.patterns.append({"match": group, "route": target})
        if made:
            note = f"The model behind the pattern {quoted(group)} can be asked as {target}."
            report.claim((*entry.path, "model_name"), Kind.APPROXIMATED, note)
        return
    draft.patterns.append({"match": group, "provider": provider})
    note = f"{quoted(group)} reaches the catalogue of {provider}: the models this file names."
    remedy = "Add the other models it serves to providers.yaml; `harness init` asks the server."
    report.claim((*entry.path, "model_name"), Kind.MANUAL, note, remedy=remedy)
