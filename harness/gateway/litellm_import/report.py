"""What became of each field of an imported configuration, and the findings that say so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.registry import Finding, Place, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.rule import Path
    from harness.registry.source import Document


class Kind(StrEnum):
    """How a field of the input lives on in the sources."""

    EXACT = "exact"
    """Generating from the sources gives the same behaviour back."""
    APPROXIMATED = "approximated"
    """Kept in another form or with another value; the finding says which."""
    MANUAL = "manual"
    """The sources need something the file does not say; a placeholder waits for a person."""
    UNSUPPORTED = "unsupported"
    """The sources have no place for it; it was left out."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing an import may have to say; the same fields as a rule of the sources."""

    id: str
    severity: Severity
    title: str
    why: str
    remedy: str


_ALL = (
    Rule(
        "GW500",
        Severity.ERROR,
        "Nothing can be imported",
        "Without one model whose server can be told there is no gateway to describe, so no "
        "source file is made.",
        "Give the file a model_list whose entries have a model_name and litellm_params.model.",
    ),
    Rule(
        "GW501",
        Severity.WARNING,
        "A field is approximated",
        "The sources say what is meant in another form, or cannot say quite that. Generating from "
        "them gives a gateway that differs here.",
        "Read the message; change the source if the difference matters.",
    ),
    Rule(
        "GW502",
        Severity.WARNING,
        "A field needs a person",
        "The sources require a value that a LiteLLM configuration does not hold. A placeholder "
        "stands in its place, with a comment.",
        "Put the right value into the file the message names.",
    ),
    Rule(
        "GW503",
        Severity.WARNING,
        "A field is not supported",
        "The sources have no place for it, so the generated gateway will not have it. Many such "
        "keys are read by nobody in LiteLLM either: `harness lint` tells which.",
        "Nothing, if it had no effect; otherwise keep this gateway until the sources can say it.",
    ),
    Rule(
        "GW504",
        Severity.WARNING,
        "A secret stands in the file",
        "A configuration is copied, committed and shown in errors. The value was not copied: the "
        "sources name an environment variable in its place.",
        "Set the variable, change the secret where it was issued, and take it out of the old file.",
    ),
    Rule(
        "GW505",
        Severity.WARNING,
        "A deployment is left out",
        "The sources cannot describe its server, or LiteLLM itself would drop the entry without a "
        "word. Names that only it answered are gone with it.",
        "Describe its server under providers by hand, or remove the entry.",
    ),
    Rule(
        "GW506",
        Severity.WARNING,
        "A name leads nowhere",
        "LiteLLM accepts a fallback, an alias or a pattern that names nothing, and fails when a "
        "request takes it.",
        "Correct the name, or remove the entry.",
    ),
)
RULES = {rule.id: rule for rule in _ALL}
"""Every rule of the import by its id."""

EXPLAINED = {
    rule.id: f"{rule.title} ({rule.severity})\n\n{rule.why}\n\nRemedy: {rule.remedy}"
    for rule in _ALL
}
"""What ``harness explain`` says of each id."""

_OF = {Kind.APPROXIMATED: "GW501", Kind.MANUAL: "GW502", Kind.UNSUPPORTED: "GW503"}


@dataclass(frozen=True, slots=True)
class Field:
    """One leaf of the input: where it stands, what became of it, and why.

    ``note`` is empty where an exact field needs no word. Values are never repeated.
    """

    path: Path
    place: Place
    kind: Kind
    note: str


@dataclass(slots=True)
class _Claim:
    kind: Kind
    note: str
    rule: str
    remedy: str


class Report:
    """Collects what became of each field; what nobody claims is unsupported.

    A claim on a mapping or list holds for all its leaves that have no claim of their own. The
    last claim of one path stands.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._claims: dict[Path, _Claim] = {}
        self._dropped: set[Path] = set()
        self._more: list[Finding] = []

    def exact(self, path: Path, note: str = "") -> None:
        """The field at ``path`` lives on as it was."""
        self._claims[path] = _Claim(Kind.EXACT, note, "", "")

    def claim(self, path: Path, kind: Kind, note: str, *, rule: str = "", remedy: str = "") -> None:
        """The field at ``path`` lives on otherwise; ``note`` is a whole sentence."""
        self._claims[path] = _Claim(kind, note, rule or _OF[kind], remedy)

    def drop(self, path: Path, note: str, *, kind: Kind = Kind.UNSUPPORTED) -> None:
        """The entry at ``path`` goes as a whole, whatever is said of its fields otherwise."""
        self._dropped.add(path)
        self.claim(path, kind, note, rule="GW505")

    def claimed(self, path: Path) -> bool:
        """Whether something is already said of ``path`` itself."""
        return path in self._claims

    def say(self, rule: str, path: Path, message: str, remedy: str = "") -> None:
        """Report something that is no matter of one field, at the place of ``path``."""
        self._more.append(self._finding(rule, path, message, remedy))

    def fields(self) -> tuple[Field, ...]:
        """Every leaf of the input, in the order of the file."""
        return tuple(
            Field(path, self._document.position(path), *self._verdict(path))
            for path in self._leaves()
        )

    def findings(self) -> list[Finding]:
        """One finding for each claim that is not exact and each part nobody claimed, sorted."""
        found = [
            self._finding(claim.rule, path, claim.note, claim.remedy)
            for path, claim in self._claims.items()
            if claim.rule and path in self._document.values and self._counts(path, claim)
        ]
        busy = {path[:end] for path in self._claims for end in range(len(path) + 1)}
        unclaimed = dict.fromkeys(
            _highest(path, busy) for path in self._leaves() if self._claimed(path) is None
        )
        for path in unclaimed:
            name = ".".join(str(step) for step in path)
            found.append(self._finding("GW503", path, f"{name} is left out.", ""))
        return sorted((*found, *self._more, *self._document.findings))

    def _finding(self, rule: str, path: Path, message: str, remedy: str) -> Finding:
        on_key = bool(path) and isinstance(path[-1], str)
        place = self._document.position(path, key=on_key)
        return Finding(
            rule=rule,
            severity=RULES[rule].severity,
            file=place.file,
            line=place.line,
            column=place.column,
            message=message,
            remedy=remedy or RULES[rule].remedy,
        )

    def _leaves(self) -> Iterator[Path]:
        inner = {path[:-1] for path in self._document.values if path}
        return (path for path in self._document.values if path not in inner)

    def _verdict(self, path: Path) -> tuple[Kind, str]:
        claim = self._claimed(path)
        return (Kind.UNSUPPORTED, "is left out.") if claim is None else (claim.kind, claim.note)

    def _counts(self, path: Path, claim: _Claim) -> bool:
        """Whether a claim is to be told: in what was dropped, only that of a secret is."""
        inside = any(path[:end] in self._dropped for end in range(1, len(path)))
        return claim.rule == "GW504" or not inside

    def _claimed(self, path: Path) -> _Claim | None:
        for end in range(1, len(path) + 1):
            if path[:end] in self._dropped:
                return self._claims[path[:end]]
        for end in range(len(path), -1, -1):
            if path[:end] in self._claims:
                return self._claims[path[:end]]
        return None


def _highest(path: Path, busy: set[Path]) -> Path:
    """The largest part around an unclaimed leaf in which nothing at all is claimed."""
    for end in range(1, len(path)):
        if path[:end] not in busy:
            return path[:end]
    return path
