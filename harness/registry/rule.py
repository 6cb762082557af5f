"""What a rule is, and a table of rules: of the sources here, of any other file elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from harness.registry.finding import Finding, Place, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

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


class Subject(Protocol):
    """What rules are about: it knows where its values stand."""

    def position(self, path: Path, *, key: bool = False) -> Place:
        """Where the value (or the key) at ``path`` stands."""
        ...


SubjectT = TypeVar("SubjectT", bound=Subject)
SubjectT_contra = TypeVar("SubjectT_contra", bound=Subject, contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Generic[SubjectT_contra]):
    """One promise a subject must keep, with everything ``harness explain`` says about it.

    ``failing`` and ``passing`` are YAML; what they do not mention is taken from the examples of
    their table. ``check`` is None where another module, such as the reader, makes the finding.
    """

    id: str
    severity: Severity
    title: str
    why: str
    remedy: str
    failing: str
    passing: str
    check: Callable[[SubjectT_contra], Iterator[Hit]] | None = None

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

    def run(self, subject: SubjectT_contra) -> Iterator[Finding]:
        """Every breach of this rule in a subject whose shape is already right."""
        if self.check is None:
            return
        for hit in self.check(subject):
            place = subject.position(hit.path, key=hit.on_key)
            yield self.at(place, hit.message, hit.remedy)


class Rules(dict[str, Rule[SubjectT]]):
    """Rules about one kind of subject, by their ids; ids in ``beside`` are taken too."""

    def __init__(self, beside: Container[str] = ()) -> None:
        super().__init__()
        self._beside = beside

    def declare(self, rule: Rule[SubjectT]) -> Rule[SubjectT]:
        """Enter ``rule``; ``ValueError`` if its id is taken."""
        if rule.id in self or rule.id in self._beside:
            raise ValueError(
                f"two rules are called {rule.id}; give one of them the next free number"
            )
        self[rule.id] = rule
        return rule

    def rule(
        self,
        id_: str,
        *,
        title: str,
        why: str,
        remedy: str,
        failing: str,
        passing: str,
        severity: Severity = Severity.ERROR,
    ) -> Callable[[Callable[[SubjectT], Iterator[Hit]]], Rule[SubjectT]]:
        """Make a rule of the function below: it gets the subject and yields a hit per breach."""

        def enter(check: Callable[[SubjectT], Iterator[Hit]]) -> Rule[SubjectT]:
            return self.declare(
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


RULES: Rules[Registry] = Rules()
"""Every rule of the sources. Importing :mod:`harness.registry.rules` fills it.

In ``failing`` and ``passing`` each file named is either a mapping laid over the minimal sources of
:mod:`harness.registry.examples`, or the whole text of the file.
"""
declare = RULES.declare
rule = RULES.rule
