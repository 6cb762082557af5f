"""``config/claims.yaml``: every claim with its quote, its readings, and how each is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from harness.claims.expect import Expect  # noqa: TC001  pydantic reads the annotation
from harness.registry.finding import FindingsError
from harness.registry.load import load_one
from harness.registry.models.base import Count, Identifier, Seconds, Sequence, Source, Text
from harness.registry.rules import shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from harness.registry.finding import Finding
    from harness.registry.source import Document

EXPLAINED = {
    "claims.unknown": """There is no such claim

`--only` takes the id of a claim, or of one of its readings as CLAIM.READING.

Remedy: take one of the ids that `harness claims --list` shows.""",
}
"""What ``harness explain`` says of the errors of this room."""


class ClaimError(FindingsError):
    """Claims that cannot be used; ``findings`` holds everything wrong with them, by place."""


class Planned(Source):
    """A figure of the capacity planner, from the data sheet and the model's geometry."""

    card: Text = Field(description="A card of `harness capacity --list`")
    model: Text = Field(description="A model of that list")
    length: Count = Field(default=4096, description="Tokens of a request")
    utilisation: float = Field(gt=0, le=1, description="Share of the memory the engine may use")
    figure: Literal["concurrency", "requests", "need", "both-models", "in-use", "budget"] = Field(
        description="What is computed: concurrency, whole requests, GiB that one model needs at "
        "least, that two need, weights and cache in use, or all it may use"
    )


class Declared(Source):
    """What the running engine says of its own cache."""

    by: Literal["start-line", "metrics"] = Field(
        description="The line it logs at its start, or vllm:cache_config_info"
    )


class Filled(Source):
    """Requests of exact lengths, all at once: how many run with nobody waiting."""

    requests: Count = Field(description="So many, and then one more")
    prompt: Count = Field(description="Tokens of each prompt, none shared")
    answer: Count = Field(description="Tokens of each answer")
    step_tokens: Count = Field(
        default=8192,
        description="Tokens of a step, so that all prompts are read before the first answer ends",
    )


class Raced(Source):
    """Decoding throughput of many streams over that of one, in interleaved blocks."""

    users: Count = Field(description="Streams at a time, against one")
    prompt: Count = Field(description="Tokens of each prompt")
    answer: Count = Field(description="Tokens of each answer")
    blocks: Count = Field(default=4, description="ABBA blocks; at least 3 for an interval")


class Climbed(Source):
    """A staircase of users: tokens a second at a level by those of the lowest."""

    levels: Sequence[Count] = Field(min_length=2, description="Users at a time, ascending")
    claimed: Count = Field(description="The level that was claimed; one of them")
    prompt: Count = Field(description="Tokens of each prompt, none shared")
    answer: Count = Field(description="Tokens of each answer")
    seconds: Seconds = Field(default=6, description="How long each level lasts")

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if list(self.levels) != sorted(set(self.levels)):
            raise ValueError("has levels that do not ascend: a staircase goes up")
        if self.claimed not in self.levels:
            raise ValueError(f"claims {self.claimed} users, which is none of its levels")
        return self


class Roofline(Source):
    """What memory bandwidth and arithmetic allow at best, by data sheet."""

    card: Text = Field(description="A card of `harness capacity --list`")
    preset: Text = Field(description="The preset whose model is meant")
    users: Count = Field(default=1, description="Streams at a time")
    context: Count = Field(default=1, description="Tokens each attends to")
    figure: Literal["speed-up", "answer-ms"] = Field(
        description="Throughput over that of one stream, or the least time of an answer"
    )
    answer: Count = Field(default=64, description="Tokens of that answer")


class Recorded(Source):
    """A figure that `harness run` left in its evidence."""

    check: Text = Field(description="Glob on the check's id")
    subject: Text = Field(default="*", description="Glob on the subject")
    figure: Literal["worst", "pass-share"] = Field(
        default="worst", description="The largest value, or the share of records that passed"
    )


class Pinged(Source):
    """The time of the engine's own health page."""

    times: Count = Field(default=200, description="How often it is asked")


class Exported(Source):
    """Whether a server exports a metric at all."""

    metric: Text = Field(description="Name of the series, or of its family")


class Counted(Source):
    """How many of something the sources in config/ name."""

    what: Literal["providers", "models", "routes", "chains", "services"] = Field(
        description="What is counted"
    )


class Stated(Source):
    """A number that the sources in config/ state."""

    file: Literal["providers.yaml", "model-mappings.yaml", "ports.yaml"] = Field(
        description="Source file"
    )
    path: Text = Field(description="Keys from the root, joined by dots")
    times: float = Field(default=1.0, gt=0, description="Factor from its unit to the claim's")


class Unmeasured(Source):
    """Why nothing here can measure it, and what would."""

    why: Text = Field(description="What is missing: hardware, time, a part, a definition")
    how: Text = Field(description="The command or the definition that would settle it")


_MEASURES = (
    "planned",
    "declared",
    "filled",
    "raced",
    "climbed",
    "roofline",
    "recorded",
    "pinged",
    "exported",
    "counted",
    "stated",
    "unmeasured",
)


class Reading(Source):
    """One thing that a claim can mean, with what would show it."""

    id: Identifier = Field(description="Unique in its claim")
    means: Text = Field(description="The meaning, as one sentence that can be true or false")
    expect: Expect | None = Field(default=None, description="What must be measured for it to hold")
    engines: Sequence[Literal["emulated", "real"]] = Field(
        default=("emulated", "real"), description="Engines on which it can be measured"
    )
    hardware: Text = Field(
        default="any", description="Hardware on which the figure can hold; any, if it is a ratio"
    )
    planned: Planned | None = Field(default=None, description=str(Planned.__doc__))
    declared: Declared | None = Field(default=None, description=str(Declared.__doc__))
    filled: Filled | None = Field(default=None, description=str(Filled.__doc__))
    raced: Raced | None = Field(default=None, description=str(Raced.__doc__))
    climbed: Climbed | None = Field(default=None, description=str(Climbed.__doc__))
    roofline: Roofline | None = Field(default=None, description=str(Roofline.__doc__))
    recorded: Recorded | None = Field(default=None, description=str(Recorded.__doc__))
    pinged: Pinged | None = Field(default=None, description=str(Pinged.__doc__))
    exported: Exported | None = Field(default=None, description=str(Exported.__doc__))
    counted: Counted | None = Field(default=None, description=str(Counted.__doc__))
    stated: Stated | None = Field(default=None, description=str(Stated.__doc__))
    unmeasured: Unmeasured | None = Field(default=None, description=str(Unmeasured.__doc__))
    within_s: Seconds = Field(default=900, description="Longest time it may be measured")

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        given = [name for name in _MEASURES if getattr(self, name) is not None]
        if len(given) != 1:
            said = f"names {' and '.join(given)}" if given else "says nothing of how it is measured"
            raise ValueError(f"{said}: give exactly one of {', '.join(_MEASURES)}")
        if (self.expect is None) != (self.unmeasured is not None):
            raise ValueError("needs 'expect' where it is measured, and none where it is not")
        return self

    @property
    def measure(self) -> Source:
        """How it is measured."""
        given: list[Source | None] = [getattr(self, name) for name in _MEASURES]
        return next(one for one in given if one is not None)


class Claim(Source):
    """A sentence somebody wrote, and what it can mean."""

    id: Identifier = Field(description="Its name on the command line and in reports, unique")
    quote: Text = Field(description="The words themselves")
    document: Text = Field(description="The document that says so")
    line: Count = Field(description="The line in it")
    note: Text | None = Field(default=None, description="What a reader should know of it")
    readings: Sequence[Reading] = Field(min_length=1, description="What it can mean")


class Claims(Source):
    """The whole of ``claims.yaml``."""

    claims: Sequence[Claim] = Field(min_length=1, description="Every claim")

    def only(self, names: Iterable[str]) -> Claims:
        """The claims, or single readings as ``CLAIM.READING``, of these names; all, if none.

        Raises:
            KeyError: a name is neither.
        """
        wanted = set(names)
        if not wanted:
            return self
        known = {claim.id for claim in self.claims}
        known |= {f"{claim.id}.{each.id}" for claim in self.claims for each in claim.readings}
        if missing := sorted(wanted - known):
            raise KeyError(missing[0])
        kept = []
        for claim in self.claims:
            readings = tuple(
                each
                for each in claim.readings
                if claim.id in wanted or f"{claim.id}.{each.id}" in wanted
            )
            if readings:
                kept.append(claim.model_copy(update={"readings": readings}))
        return self.model_copy(update={"claims": tuple(kept)})


def load_claims(path: Path) -> Claims:
    """The claims in the YAML file at ``path``.

    Raises:
        ClaimError: every finding of the file at once, each with its place and remedy.
    """
    claims, findings = load_one(path, Claims, _twice)
    if claims is None:
        raise ClaimError(findings)
    return claims


def _twice(claims: Claims, document: Document) -> Iterator[Finding]:
    """Two entries of one id: evidence of the one would be taken for the other's."""
    taken: set[str] = set()
    for number, claim in enumerate(claims.claims):
        names: list[tuple[tuple[str | int, ...], str]] = [(("claims", number, "id"), claim.id)]
        names += [
            (("claims", number, "readings", each, "id"), f"{claim.id}.{one.id}")
            for each, one in enumerate(claim.readings)
        ]
        for path, name in names:
            if name in taken:
                message = f"The id {name!r} is taken by an entry above."
                yield shape.WRONG_VALUE.at(document.position(path), message, "Rename it.")
            taken.add(name)
