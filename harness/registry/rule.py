"""What a rule is, and the table of all rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.registry.finding import Finding, Place, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.registry.registry import Registry

Path = tuple[str | int, ...]
"""Where a value stands: the keys and list indexes that lead to it from the root of its file."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where the sources break a rule.

    ``path`` leads to the offending value, or to its key where ``on_key`` is set. ``remedy``
    replaces the rule's own where something more precise is known, such as a near name.
    """

    path: Path
    message: str
    remedy: str = ""
    on_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One promise the sources must keep, with everything ``harness explain`` says about it.

    ``failing`` and ``passing`` are YAML: for each file named, either a mapping laid over the
    minimal sources of :mod:`harness.registry.examples`, or the whole text of the file.
    ``check`` is None where the reader or the schema finds the breach itself.
    """

    id: str
    severity: Severity
    title: str
    why: str
    remedy: str
    failing: str
    passing: str
    check: Callable[[Registry], Iterator[Hit]] | None = None

    def at(self, place: Place, message: str, remedy: str = "") -> Finding:
        """A finding of this rule at ``place``."""
        return Finding(
            rule=self.id,
            severity=self.severity,
            file=place.file,
            line=place.line,
            column=place.column,
            message=message,
            remedy=remedy or self.remedy,
        )

    def run(self, registry: Registry) -> Iterator[Finding]:
        """Every breach of this rule in sources whose shape is already right."""
        if self.check is None:
            return
        for hit in self.check(registry):
            place = registry.position(hit.path, key=hit.on_key)
            yield self.at(place, hit.message, hit.remedy)


RULES: dict[str, Rule] = {}
"""Every rule by its id. Importing :mod:`harness.registry.rules` fills it."""


def declare(rule: Rule) -> Rule:
    """Enter ``rule`` in the table; ``ValueError`` if its id is taken."""
    if rule.id in RULES:
        raise ValueError(f"two rules are called {rule.id}; give one of them the next free number")
    RULES[rule.id] = rule
    return rule


def rule(
    id_: str,
    *,
    title: str,
    why: str,
    remedy: str,
    failing: str,
    passing: str,
    severity: Severity = Severity.ERROR,
) -> Callable[[Callable[[Registry], Iterator[Hit]]], Rule]:
    """Make a rule of the function below: it gets the registry and yields a hit per breach."""

    def enter(check: Callable[[Registry], Iterator[Hit]]) -> Rule:
        return declare(
            Rule(
                id=id_,
                severity=severity,
                title=title,
                why=why,
                remedy=remedy,
                failing=failing,
                passing=passing,
                check=check,
            )
        )

    return enter
