"""What a scheduler tells about itself: what it has done, and how it stands."""

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


@dataclass(slots=True)
class Gauges:
    """How it stood when the last step ended: what vLLM's gauges show until the next one has ended.

    vLLM sets them once a step, from ``make_stats`` (vllm/v1/core/sched/scheduler.py, 0.32). Who
    arrived amid the step is not among ``waiting`` yet; who found no place in it is, and stays so
    for the length of the step that follows.
    """

    running: int = 0
    waiting: int = 0
    kv_usage: float = 0.0
    """Share of the blocks that are held, 0 to 1."""
