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

    ``ttft_ms`` ends at the first token-bearing chunk (content, reasoning or tool
    call, never a chunk that carries only a role). ``itl_ms`` holds the gaps between
    successive token-bearing chunks, however many choices or tool calls one brings:
    within a chunk there is no gap. ``e2e_ms`` ends with the stream's last event,
    and ``tpot_ms`` is (last chunk - first chunk) / tokens after the first chunk. Tokens
    are counted as the server states them in usage, else one a delta; those of the first
    chunk are what it states there (usage in every chunk), else as many as the average
    chunk brings: a server that sends four tokens a chunk is then as fast as it is.
    ``merged`` counts chunks that shared a read, whose stamps are upper bounds.
    """

    ttft_ms: float
    itl_ms: tuple[float, ...]
    tpot_ms: float | None
    e2e_ms: float
    tokens: int
    chunks: int
    merged: int


def timing(answer: Answer) -> Timing | None:
    """Time one answer; None unless it is a whole stream.

    A stream counts only with a finish reason, ``[DONE]`` and no error object: the
    time of half an answer is not the time of an answer.
    """
    sent = answer.exchange.sent_ns
    if not answer.streamed or not answer.wholeness or sent is None or not answer.deltas:
        return None
    # Later deltas of an event give way to its first.
    firsts = {delta.event: delta for delta in reversed(answer.deltas)}.values()
    stamps = [delta.at_ns for delta in firsts][::-1]
    gaps = tuple([(later - earlier) / _MS for earlier, later in pairwise(stamps)])
    tokens = stated(answer.usage) or len(answer.deltas)
    after_first = tokens - _tokens_of_first(answer, tokens / len(stamps))
    return Timing(
        ttft_ms=(stamps[0] - sent) / _MS,
        itl_ms=gaps,
        tpot_ms=(stamps[-1] - stamps[0]) / _MS / after_first
        if after_first > 0 and len(stamps) > 1
        else None,
        e2e_ms=(answer.events[-1].at_ns - sent) / _MS,
        tokens=tokens,
        chunks=len(stamps),
        merged=sum([delta.merged for delta in firsts]),
    )


def _tokens_of_first(answer: Answer, average: float) -> float:
    return _stated_in(answer.events[answer.deltas[0].event].json) or max(1.0, average)


def _stated_in(chunk: Any) -> int | None:
    """The completion tokens so far, where a chunk that bears tokens states them too."""
    if not isinstance(chunk, dict):
        return None
    return stated(chunk.get("usage")) if chunk.get("choices") else None


def stated(usage: Any) -> int | None:
    """The completion tokens that a ``usage`` states, if it states any."""
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return tokens if isinstance(tokens, int) and tokens > 0 else None
