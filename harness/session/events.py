"""What a run tells while it runs; whoever listens draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from harness.evidence import Evidence


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase begins; ``detail`` says in a few words what it will do."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Found:
    """A fact was judged and stored."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something stopped the run early; what was found before it is kept."""

    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """The run is judged and its reports are on disk."""

    directory: Path


Event = PhaseStarted | Found | Trouble | Written
