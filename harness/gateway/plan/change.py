"""One change in what the gateway does, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

UNCHANGED = 0
CHANGED = 2


class Kind(StrEnum):
    """What a change is about. Under the opposite plan each ``_ADDED`` is a ``_REMOVED``."""

    NAME_ADDED = "name-added"
    NAME_REMOVED = "name-removed"
    NAME_RETARGETED = "name-retargeted"
    NAME_LISTED = "name-listed"
    NAME_UNLISTED = "name-unlisted"
    FALLBACK_ADDED = "fallback-added"
    FALLBACK_REMOVED = "fallback-removed"
    FALLBACK_REPLACED = "fallback-replaced"
    FALLBACKS_REORDERED = "fallbacks-reordered"
    DEPLOYMENT_ADDED = "deployment-added"
    DEPLOYMENT_REMOVED = "deployment-removed"
    DEPLOYMENT_CHANGED = "deployment-changed"
    PATTERNS_REORDERED = "patterns-reordered"
    SETTING_CHANGED = "setting-changed"


class Severity(StrEnum):
    """What a change may do to a client that relies on the gateway."""

    BREAKING = "breaking"
    """A name is refused from now on, or fewer servers stand behind it."""
    CHANGE = "change"
    ADDITION = "addition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference, in words. No secret is in any of its fields.

    ``subject`` is the name of a route, or the topic of a setting. ``does`` continues it to
    a sentence. ``affects`` are the other names whose requests may meet the difference, as
    aliases of the subject or because it stands in their chain.
    """

    kind: Kind
    subject: str
    does: str
    severity: Severity
    before: str | None = None
    after: str | None = None
    affects: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The change in one sentence."""
        if self.kind is Kind.SETTING_CHANGED:
            return f"{self.subject}: {self.does}"
        return f"`{self.subject}` {self.does}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Every change between two configurations; false where there is none."""

    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def exit_code(self) -> int:
        """0 without a change, 2 with one, as ``terraform plan -detailed-exitcode``."""
        return CHANGED if self.changes else UNCHANGED

    @property
    def breaking(self) -> tuple[Change, ...]:
        """The changes that may break a client."""
        return tuple(change for change in self.changes if change.severity is Severity.BREAKING)

    @property
    def names(self) -> frozenset[str]:
        """Every route name that is mentioned, as the subject of a change or affected by one."""
        routes = [change for change in self.changes if change.kind is not Kind.SETTING_CHANGED]
        return frozenset(name for change in routes for name in (change.subject, *change.affects))
