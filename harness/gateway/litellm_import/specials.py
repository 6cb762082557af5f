"""Fallbacks for one kind of error: a prompt that is too long, a refusal by a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.gateway.litellm_import.fallbacks import (
    Lists,
    after_group,
    chain_for,
    claim_unknown,
    resolved,
    without_circles,
)
from harness.gateway.litellm_import.report import Kind
from harness.registry.drafting import UNKNOWN_CONTEXT
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from harness.gateway.litellm_import.report import Report
    from harness.registry.drafting import Draft
    from harness.registry.rule import Path


def special(
    field: str,
    lists: Lists,
    default: list[str],
    regular: Mapping[str, list[str]],
    needed: Collection[str],
    draft: Draft,
    report: Report,
) -> None:
    """Chains for one kind of error: ``context_window_chain`` or ``content_policy_chain``.

    Once LiteLLM has such a list it has no other for this error; what is generated repeats the
    regular fallbacks in it, so a name that had none here has them now. ``needed`` are names that
    get a chain even where it is their regular one, see `heads`.
    """
    if not lists and not default:
        return
    claim_unknown(lists, draft, report)
    after: dict[str, list[str]] = {}
    for name in draft.exact:
        listed = lists.get(name)
        targets = resolved(name, listed, default if name in draft.public else [], draft, report)
        if targets == regular[name] and name not in needed:
            continue
        if field == "context_window_chain":
            targets = _growing(name, targets, listed, draft, report)
        after[name] = without_circles(name, targets, after, listed, report)
        if not targets:
            report.say("GW501", ("router_settings",), f"{quoted(name)} keeps its regular chain.")
    for name in sorted(after, key=lambda name: -len(after[name])):
        if after[name]:
            setattr(draft.exact[name], field, chain_for(name, after[name], draft))
    _claim_derived(lists, {**regular, **{k: v for k, v in after.items() if v}}, draft, report)


def _claim_derived(
    lists: Lists, after: Mapping[str, list[str]], draft: Draft, report: Report
) -> None:
    """Hold the lists of aliases, capabilities and groups against what they get by nature."""
    for name, (path, targets) in lists.items():
        head = _head(name, draft)
        if head is None and name not in draft.balanced:
            continue
        known = after_group(name, draft) if head is None else after[head]
        if targets == known:
            report.exact(path)
        else:
            message = f"{quoted(name)} falls back to {', '.join(known) or 'nothing'} then."
            report.claim(path, Kind.APPROXIMATED, message)


def heads(lists: Lists, usual: Lists, draft: Draft) -> set[str]:
    """Names behind an alias or a capability that falls back otherwise than it usually does.

    Such a name has no special chain of its own: it takes that of the name behind it.
    """
    nothing: tuple[Path, list[str]] = ((), [])
    return {
        head
        for name, (_, targets) in lists.items()
        if (head := _head(name, draft)) is not None
        and lists.get(head, nothing)[1] == targets != usual.get(name, nothing)[1]
    }


def _head(name: str, draft: Draft) -> str | None:
    """The exact name behind an alias, or asked first for a capability."""
    return draft.aliases.get(name) or next(iter(draft.capabilities.get(name, ())), None)


def _growing(
    name: str,
    targets: list[str],
    listed: tuple[Path, list[str]] | None,
    draft: Draft,
    report: Report,
) -> list[str]:
    """``targets`` as far as each takes a longer prompt than what was tried before it."""
    longest, kept = _context(name, draft), list[str]()
    for target in targets:
        if _context(target, draft) > longest:
            longest = _context(target, draft)
            kept.append(target)
    if len(kept) < len(targets) and listed is not None:
        gone = ", ".join(target for target in targets if target not in kept)
        message = f"As far as is told, {gone} takes no longer prompt than what is tried before."
        remedy = "Give max_input_tokens, or put it into the chain once context_length is right."
        report.claim(listed[0], Kind.MANUAL, message, remedy=remedy)
    return kept


def _context(name: str, draft: Draft) -> int:
    route = draft.exact[name]
    return draft.providers[route.provider].models[route.model].context_length or UNKNOWN_CONTEXT
