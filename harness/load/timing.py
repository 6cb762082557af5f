"""When the tokens of a streamed answer arrived, under one set of definitions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.answer import Answer

_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The phases of one streamed answer, in milliseconds from the request's last byte.

    ``ttft_ms`` ends at the first token-bearing delta (content, reasoning or tool
    call, never a chunk that carries only a role). ``itl_ms`` holds the gaps between
    successive token-bearing deltas, ``e2e_ms`` ends with the stream's last event,
    and ``tpot_ms`` is (last delta - first delta) / tokens after the first delta. Tokens
    are counted as the server states them in usage, else one a delta; those of the first
    delta are what it states there (usage in every chunk), else as many as the average
    delta brings: a server that sends four tokens a chunk is then as fast as it is.
    ``merged`` counts deltas that shared a read, whose stamps are upper bounds.
    """

    ttft_ms: float
    itl_ms: tuple[float, ...]
    tpot_ms: float | None
    e2e_ms: float
    tokens: int
    merged: int


def timing(answer: Answer) -> Timing | None:
    """Time one answer; None unless it is a whole stream.

    A stream counts only with a finish reason, ``[DONE]`` and no error object: the
    time of half an answer is not the time of an answer.
    """
    sent = answer.exchange.sent_ns
    if not answer.streamed or not answer.wholeness or sent is None or not answer.deltas:
        return None
    stamps = [delta.at_ns for delta in answer.deltas]
    gaps = tuple([(later - earlier) / _MS for earlier, later in pairwise(stamps)])
    stated = (answer.usage or {}).get("completion_tokens")
    tokens = stated if isinstance(stated, int) and stated > 0 else len(stamps)
    after_first = tokens - _tokens_of_first(answer, tokens)
    return Timing(
        ttft_ms=(stamps[0] - sent) / _MS,
        itl_ms=gaps,
        tpot_ms=(stamps[-1] - stamps[0]) / _MS / after_first
        if after_first > 0 and len(stamps) > 1
        else None,
        e2e_ms=(answer.events[-1].at_ns - sent) / _MS,
        tokens=tokens,
        merged=sum([delta.merged for delta in answer.deltas]),
    )


def _tokens_of_first(answer: Answer, tokens: int) -> float:
    first = answer.deltas[0]
    for event in answer.events:
        if event.at_ns == first.at_ns and (stated := _stated(event.json)) is not None:
            return stated
    return max(1.0, tokens / len(answer.deltas))


def _stated(chunk: Any) -> int | None:
    """The completion tokens so far, where a chunk that bears tokens states them too."""
    if not isinstance(chunk, dict):
        return None
    usage = chunk.get("usage")
    stated = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return stated if chunk.get("choices") and isinstance(stated, int) and stated > 0 else None
