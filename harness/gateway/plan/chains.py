"""How a list of fallbacks differs from another, one sentence a difference."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from harness.gateway.plan.change import Change, Kind, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


class Step(NamedTuple):
    """One fallback: ``key`` tells it from others, ``shown`` is its name."""

    key: tuple[str, ...]
    shown: str


def compare_chains(
    subject: str, before: Sequence[Step], after: Sequence[Step], *, noun: str = "fallback"
) -> Iterator[Change]:
    """What ``subject`` loses, gains, has replaced and tries in another order."""
    old, new = _unique(before), _unique(after)
    lost = [number for number, key in enumerate(old) if key not in set(new)]
    gained = [number for number, key in enumerate(new) if key not in set(old)]
    kept_old = [key for key in old if key in set(new)]
    kept_new = [key for key in new if key in set(old)]
    was, becomes = _shown(before), _shown(after)
    if len(old) == len(new) and lost == gained:
        for number in lost:
            yield Change(
                kind=Kind.FALLBACK_REPLACED,
                subject=subject,
                does=f"has {after[number].shown} as its {_nth(number, len(new), noun)} instead of "
                f"{before[number].shown}",
                severity=Severity.CHANGE,
                before=was,
                after=becomes,
            )
    else:
        shorter, longer = len(new) < len(old), len(new) > len(old)
        for number in lost:
            yield Change(
                kind=Kind.FALLBACK_REMOVED,
                subject=subject,
                does=f"loses its {_nth(number, len(old), noun)}, {before[number].shown}",
                severity=Severity.BREAKING if shorter else Severity.CHANGE,
                before=was,
                after=becomes,
            )
        for number in gained:
            yield Change(
                kind=Kind.FALLBACK_ADDED,
                subject=subject,
                does=f"gains {after[number].shown} as its {_nth(number, len(new), noun)}",
                severity=Severity.ADDITION if longer else Severity.CHANGE,
                before=was,
                after=becomes,
            )
    if kept_old != kept_new:
        shown = {key: step.shown for key, step in zip(new, after, strict=True)}
        yield Change(
            kind=Kind.FALLBACKS_REORDERED,
            subject=subject,
            does=f"tries its {noun}s in another order: "
            f"{', '.join(shown[key] for key in kept_new)} instead of "
            f"{', '.join(shown[key] for key in kept_old)}",
            severity=Severity.CHANGE,
            before=was,
            after=becomes,
        )


def _unique(steps: Sequence[Step]) -> list[tuple[tuple[str, ...], int]]:
    """The keys, told apart where one occurs twice (an alias beside its target)."""
    seen: Counter[tuple[str, ...]] = Counter()
    found = []
    for step in steps:
        found.append((step.key, seen[step.key]))
        seen[step.key] += 1
    return found


def _nth(number: int, length: int, noun: str) -> str:
    if length == 1:
        return f"only {noun}"
    return f"{_ORDINALS[number]} {noun}" if number < len(_ORDINALS) else f"{noun} {number + 1}"


def _shown(steps: Sequence[Step]) -> str:
    return ", ".join(step.shown for step in steps) or "none"
