"""What the bytes of one Exchange mean in the OpenAI dialect: one parser for every judge."""

from __future__ import annotations

from harness.answer.model import (
    Answer,
    Delta,
    DeltaKind,
    Event,
    Kind,
    State,
    Wholeness,
)
from harness.answer.reader import kind_of, read

__all__ = [
    "Answer",
    "Delta",
    "DeltaKind",
    "Event",
    "Kind",
    "State",
    "Wholeness",
    "kind_of",
    "read",
]
