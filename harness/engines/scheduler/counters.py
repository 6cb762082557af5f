"""What a scheduler has done since it was made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What has happened so far; only ever grows."""

    preemptions: int = 0
    prefix_queries: int = 0
    """Tokens looked up in the prefix cache by sequences admitted for the first time."""
    prefix_hits: int = 0
    """Tokens of these that were found."""
    finished: int = 0
    aborted: int = 0
    computed_tokens: int = 0
