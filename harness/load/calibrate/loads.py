"""The loads an engine is calibrated with: closed loops, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.scheduler import SchedulerConfig

_LETTERS = "bcdfghklmnprstvwz"
_VOWELS = "aeiou"
_LEAST = 24
_TURNS = 5
_CROWDED_TURNS = 4
"""Requests of a load past the capacity, for each of its clients; they take longer."""
AHEAD_S = 0.1
"""How long before its clients the prompt comes that a load begins behind."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: the tokens its prompt should have, and those of its answer."""

    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class Load:
    """``concurrency`` clients, each asking again as soon as it has its answer."""

    name: str
    concurrency: int
    requests: tuple[Request, ...]
    held_out: bool = False
    """It judges the fit and has no part in it."""
    ahead: Request | None = None
    """What the engine computes when the clients begin; none of the load's requests."""


def plan_loads(
    config: SchedulerConfig, *, seed: int, concurrencies: Sequence[int] = (1, 4, 16, 32, 64)
) -> list[Load]:
    """Loads to fit and loads to judge, for an engine of this configuration.

    Lengths are spread over 0.25 to 1.75 of their mean, so that answers do not end in lock-step.
    All clients begin at once, and what the first requests meet is another thing than what the rest
    meets: each load is several times as long as it is wide, lest its medians fall between the two.

    Where the first prompts fill more than one step, those that come too late for a step wait for
    the length of another; how many that are would be decided by the milliseconds in which an idle
    engine gets the first of them, and the same requests wait once half as long as another time.
    Such a load begins while the engine computes a prompt as long as a step: all are there when it
    ends, and who waits follows from the budget of a step alone.

    A load past the capacity of the cache is there if the sequences that may run can fill it.
    """
    draw = random.Random(seed)  # noqa: S311 - a load, not a secret
    unit = min(config.max_model_len, 1024)
    loads = []
    for concurrency in concurrencies:
        for held_out in (False, True):
            count = max(_LEAST, _TURNS * concurrency)
            means = (unit // 8, unit // 16) if not held_out else (unit // 10, unit // 12)
            name = f"{concurrency} at a time{', held out' if held_out else ''}"
            requests = tuple(_draw(draw, *means) for _ in range(count))
            loads.append(_load(config, name, concurrency, requests, held_out))
    crowd = min(max(concurrencies), config.max_num_seqs)
    longest = config.cache_tokens * 2 // crowd
    if longest < config.max_model_len:
        for held_out in (False, True):
            share = 0.35 if not held_out else 0.30
            means = (int(longest * share), int(longest * (1 - share)))
            name = f"past capacity{', held out' if held_out else ''}"
            requests = tuple(_draw(draw, *means) for _ in range(_CROWDED_TURNS * crowd))
            loads.append(_load(config, name, crowd, requests, held_out))
    return loads


def words(count: int, seed: str) -> str:
    """``count`` words that no other seed begins with."""
    draw = random.Random(seed)  # noqa: S311 - a text, not a secret
    return " ".join(
        "".join(draw.choice(_LETTERS) + draw.choice(_VOWELS) for _ in range(2))
        for _ in range(count)
    )


def _load(
    config: SchedulerConfig,
    name: str,
    concurrency: int,
    requests: tuple[Request, ...],
    held_out: bool,  # noqa: FBT001 - as the field of a load
) -> Load:
    budget = config.max_num_batched_tokens
    rush = sum(each.prompt_tokens for each in requests[:concurrency])
    ahead = Request(min(budget, config.max_model_len - 1), 1) if rush > budget else None
    return Load(name, concurrency, requests, held_out, ahead)


def _draw(draw: random.Random, prompt: int, answer: int) -> Request:
    return Request(
        max(2, int(prompt * draw.uniform(0.25, 1.75))),
        max(2, int(answer * draw.uniform(0.25, 1.75))),
    )
