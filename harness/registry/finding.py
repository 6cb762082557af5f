"""What is wrong with a source file, where, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Severity(StrEnum):
    """Whether a finding stops the harness."""

    ERROR = "error"
    """The sources cannot be trusted: nothing is generated or started."""
    WARNING = "warning"
    """The sources load, but not everything they say can hold."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a source file; line and column count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result of reading or checking the sources.

    ``rule`` is a stable id (``GW101``) that ``harness explain`` describes.
    ``message`` says what is wrong and why it matters, ``remedy`` what to do.
    """

    rule: str
    severity: Severity
    file: str
    line: int
    column: int
    message: str
    remedy: str

    @property
    def place(self) -> Place:
        """Where the finding stands."""
        return Place(self.file, self.line, self.column)

    def __str__(self) -> str:
        return f"{self.place}  {self.rule}  {self.message}  {self.remedy}"

    def __lt__(self, other: Finding) -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[Place, str, str]:
        return self.place, self.rule, self.message


class FindingsError(Exception):
    """A file or several that cannot be used; ``findings`` holds all that is wrong, by place."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings: tuple[Finding, ...] = tuple(sorted(findings))
        super().__init__("\n".join(str(finding) for finding in self.findings))


class RegistryError(FindingsError):
    """The sources do not load. ``findings`` holds every error and warning, sorted by place."""
