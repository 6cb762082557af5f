"""An engine's steps as its clients see them: each sends a token to every answer under way."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NS = 1e9


@dataclass(frozen=True, slots=True)
class Stream:
    """One answer: the tokens of its prompt, and when each of its deltas arrived."""

    prompt_tokens: int
    at_ns: Sequence[int]


@dataclass(frozen=True, slots=True)
class Step:
    """The time from the tokens of one step to those of the next, and what the next computed."""

    seconds: float
    prefill_tokens: int
    """Prompt tokens of the answers that began with it."""
    decodes: int
    """Answers that went on with it."""
    context: int
    """Tokens that these attend to."""


def steps(streams: Sequence[Stream]) -> list[Step]:
    """The steps behind ``streams``, which share one engine.

    An engine serves its sequences in one order, so the first answer to come a second time begins
    the next step; where all have ended, who comes next begins another. What a stream does not show
    is not in it: a prompt computed over several steps, or again after a preemption, makes a step
    look slower than its tokens. Fit with what forgives.
    """
    return [
        _step(streams, (group[0][0] - before[0][0]) / _NS, group)
        for before, group in pairwise(_groups(streams))
        if any(index for _, _, index in group)  # else it may have lain idle before
    ]


def _groups(streams: Sequence[Stream]) -> list[list[tuple[int, int, int]]]:
    """By step what came of it: when, of which answer, and which of its deltas."""
    tokens = sorted(
        (at_ns, number, index)
        for number, stream in enumerate(streams)
        for index, at_ns in enumerate(stream.at_ns)
    )
    groups: list[list[tuple[int, int, int]]] = []
    there: set[int] = set()
    going_on = False
    for token in tokens:
        _, number, index = token
        if number in there or not (index or going_on) or not groups:
            groups.append([])
            there.clear()
            going_on = False
        groups[-1].append(token)
        there.add(number)
        going_on = going_on or index + 1 < len(streams[number].at_ns)
    return groups


def _step(streams: Sequence[Stream], seconds: float, group: Sequence[tuple[int, int, int]]) -> Step:
    begun = [number for _, number, index in group if not index]
    return Step(
        seconds,
        prefill_tokens=sum(streams[number].prompt_tokens for number in begun),
        decodes=len(group) - len(begun),
        context=sum(streams[n].prompt_tokens + index for _, n, index in group if index),
    )
