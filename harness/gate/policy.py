"""The policy: which evidence must exist, and which numbers are too large."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field

from harness.evidence.judgement import UNCLAIMED
from harness.registry.finding import FindingsError
from harness.registry.load import load_one
from harness.registry.models.base import Count, Sequence, Source, Text
from harness.registry.rules import shape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.registry.finding import Finding
    from harness.registry.source import Document

Item = TypeVar("Item")


def _not_empty(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if not items:
        raise ValueError("is empty, and would pass without evidence: name at least one")
    return items


Some = Annotated[Sequence[Item], AfterValidator(_not_empty)]
"""A YAML list with at least one item."""


class PolicyError(FindingsError):
    """A policy that cannot be used; ``findings`` holds everything wrong with it, by place."""


class Requirement(Source):
    """Evidence that must exist: globs (fnmatch, case-sensitive) on check and subject.

    In a glob ``[`` opens a set of characters; write ``[[]`` for the bracket itself.
    """

    check: Text = Field(description="Glob on the check's id")
    subject: Text = Field(default="*", description="Glob on the subject")
    at_least: Count = Field(
        default=1, description="Different (check, subject) pairs that must be there"
    )
    may_be_not_run: bool = Field(
        default=False, description="Whether not-run is an acceptable answer to this"
    )
    tiers: Sequence[Text] = Field(
        default=(), description="Tiers of engines that must give it; all of them, if empty"
    )

    def matches(self, check: str, subject: str) -> bool:
        """Whether evidence of this check and subject answers the requirement."""
        return fnmatchcase(check, self.check) and fnmatchcase(subject, self.subject)

    def __str__(self) -> str:
        return f"{self.at_least} x check={self.check} subject={self.subject}"


class Gate(Source):
    """A row of the verdict table, as asked for."""

    id: Text = Field(description="Its name in reports, unique")
    title: Text = Field(description="The promise, as one sentence")
    owner: Text = Field(description="Who looks when it is red")
    evidence: Some[Requirement] = Field(description="What must be proven")
    allow_inconclusive: bool = Field(
        default=False, description="Whether noise in some of its evidence is acceptable"
    )


class Limit(Source):
    """The largest acceptable value of a measurement; ``phase`` says of which part of an answer.

    The phases are those of the usual metrics: TTFT (time to first token), ITL (gap
    between tokens), TPOT (mean time per output token), E2E (request to last byte).
    """

    check: Text = Field(description="Glob on the check's id")
    subject: Text = Field(default="*", description="Glob on the subject")
    engine: Literal["emulated", "real", "mixed"] | None = Field(
        default=None, description="Who must have made the tokens for it to hold; else anybody"
    )
    max: float = Field(gt=0, description="The largest acceptable value, in the unit")
    unit: Text = Field(description="Of the value, such as ms")
    phase: Literal["TTFT", "ITL", "TPOT", "E2E"] = Field(description="What is timed")


class Policy(Source):
    """What blocks: the rows of the verdict table and the limits of every measurement."""

    gates: Some[Gate] = Field(description="The rows of the verdict table")
    limits: Sequence[Limit] = Field(default=(), description="Bounds of the measurements")

    def of(self, tier: str) -> Policy:
        """What a run over this tier of engines must prove: rows left with nothing to ask go."""
        rows = (
            gate.model_copy(
                update={"evidence": tuple(n for n in gate.evidence if tier in (n.tiers or (tier,)))}
            )
            for gate in self.gates
        )
        return self.model_copy(update={"gates": tuple(row for row in rows if row.evidence)})


def limit(policy: Policy, check: str, subject: str, engine: str = "emulated") -> Limit | None:
    """The limit that holds for a measurement whose tokens such an ``engine`` made.

    The first that names no other engine and whose globs match, else None.
    """
    return next(
        (
            one
            for one in policy.limits
            if one.engine in (None, engine)
            and fnmatchcase(check, one.check)
            and fnmatchcase(subject, one.subject)
        ),
        None,
    )


def load_policy(path: Path) -> Policy:
    """The policy in the YAML file at ``path``.

    Raises:
        PolicyError: every finding of the file at once, each with its place and remedy.
    """
    policy, findings = load_one(path, Policy, _contradictions)
    if policy is None:
        raise PolicyError(findings)
    return policy


def _contradictions(policy: Policy, document: Document) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, gate in enumerate(policy.gates):
        place = document.position(("gates", index, "id"))
        if gate.id == UNCLAIMED:
            message = f"The id {gate.id!r} is kept for evidence that no gate asks for."
            yield shape.WRONG_VALUE.at(place, message, "Rename the gate.")
        elif gate.id in seen:
            message = f"The id {gate.id!r} is taken by a gate above."
            yield shape.WRONG_VALUE.at(place, message, "Rename the gate, or merge the two.")
        seen.add(gate.id)
    for index, late in enumerate(policy.limits):
        for early in policy.limits[:index]:
            if (
                early.engine in (None, late.engine)
                and fnmatchcase(late.check, early.check)
                and fnmatchcase(late.subject, early.subject)
            ):
                message = (
                    f"The limit never applies: {early.check} of {early.subject} above matches "
                    "all that it matches, and the first match holds."
                )
                place = document.position(("limits", index))
                yield shape.CONFLICT.at(place, message, "Move the narrower limit up.")
                break
