"""A plan for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.gateway.plan.change import Change, Kind, Plan, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

NO_CHANGES = "No changes: the gateway does what the sources say."
_MOST_NAMES = 8


def render(plan: Plan) -> str:
    """The plan as text: ``-`` what goes, ``~`` what changes, ``+`` what comes, and a summary.

    Routes with the very same changes share one paragraph; at most eight names are shown of
    a group of names, `data` has them all.
    """
    if not plan:
        return NO_CHANGES + "\n"
    paragraphs = [_paragraph(subjects, lines) for subjects, lines in _grouped(plan).items()]
    return _printable("\n".join(paragraphs)) + f"\n{summary(plan)}\n"


def summary(plan: Plan) -> str:
    """One line: how many routes change, go and come, and how many settings."""
    if not plan:
        return NO_CHANGES
    kinds: dict[str, set[Kind]] = {}
    for change in plan.changes:
        if change.kind is not Kind.SETTING_CHANGED:
            kinds.setdefault(change.subject, set()).add(change.kind)
    gone = {name for name, found in kinds.items() if Kind.NAME_REMOVED in found}
    come = {name for name, found in kinds.items() if Kind.NAME_ADDED in found}
    changed = set(kinds) - gone - come
    breaking = {change.subject for change in plan.breaking} & changed
    parts = []
    if changed:
        note = f" ({len(breaking)} breaking)" if breaking else ""
        parts.append(_counted(len(changed), "route changes", "routes change") + note)
    if gone:
        parts.append(_counted(len(gone), "is removed", "are removed", parts) + " (breaking)")
    if come:
        parts.append(_counted(len(come), "is added", "are added", parts))
    through = len(plan.names - set(kinds))
    if through:
        parts.append(_counted(through, "more is affected", "more are affected", parts))
    settings = sum(change.kind is Kind.SETTING_CHANGED for change in plan.changes)
    if settings:
        parts.append(_counted(settings, "setting changes", "settings change"))
    return ", ".join(parts) + "."


def data(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, ready for JSON."""
    return {
        "summary": summary(plan),
        "exit_code": plan.exit_code,
        "breaking": len(plan.breaking),
        "changes": [
            {
                "kind": str(change.kind),
                "subject": change.subject,
                "sentence": change.sentence,
                "severity": str(change.severity),
                "before": change.before,
                "after": change.after,
                "affects": list(change.affects),
            }
            for change in plan.changes
        ],
    }


def _grouped(plan: Plan) -> dict[tuple[str, ...], tuple[Change, ...]]:
    """The changes by subject, subjects with the same changes together, removals first."""
    of: dict[tuple[bool, str], list[Change]] = {}
    for change in plan.changes:
        of.setdefault((change.kind is Kind.SETTING_CHANGED, change.subject), []).append(change)
    together: dict[tuple[object, ...], list[str]] = {}
    for (setting, subject), changes in of.items():
        alike = tuple((change.kind, change.does, change.affects) for change in changes)
        together.setdefault((setting, subject if setting else "", alike), []).append(subject)
    grouped: dict[tuple[str, ...], tuple[Change, ...]] = {}
    for signature, subjects in together.items():
        grouped[tuple(subjects)] = tuple(of[bool(signature[0]), subjects[0]])
    return grouped


def _paragraph(subjects: tuple[str, ...], changes: tuple[Change, ...]) -> str:
    each = "each " if len(subjects) > 1 else ""
    lines = [f"{_glyph(changes)} {_names(subjects)}"]
    for change in changes:
        mark = "  (breaking)" if change.severity is Severity.BREAKING else ""
        lines.append(f"    {each}{change.does}{mark}")
    affected = dict.fromkeys(name for change in changes for name in change.affects)
    if affected:
        lines.append(f"    reached through: {_names(affected)}")
    return "\n".join(lines) + "\n"


def _glyph(changes: Iterable[Change]) -> str:
    kinds = {change.kind for change in changes}
    return "-" if Kind.NAME_REMOVED in kinds else "+" if Kind.NAME_ADDED in kinds else "~"


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _MOST_NAMES
    return ", ".join(listed[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _counted(count: int, one: str, many: str, before: list[str] | None = None) -> str:
    """``2 routes change``, then ``1 is removed``: the noun stands once, at the front."""
    if before == []:
        one, many = f"route {one}", f"routes {many}"
    return f"{count} {one if count == 1 else many}"


def _printable(text: str) -> str:
    """``text`` that cannot move a terminal's cursor: control characters are spelt out."""
    shown = (char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)
    return "".join(shown)
