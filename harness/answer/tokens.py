"""Which parts of a choice bear tokens: content, reasoning, tool calls, a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.answer.model import DeltaKind
from harness.answer.strict import obj, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Piece = tuple[DeltaKind, str]

REASONING_KEYS = ("reasoning_content", "reasoning")
"""Two spellings of one extension; a server that sends both repeats itself."""


def pieces(part: Mapping[str, Any]) -> Iterator[Piece]:
    """Yield the token-bearing pieces of a ``delta`` or a ``message``, in reading order.

    An empty string bears no token. A tool call is borne by its name as well as by
    its arguments; the text of that piece is the arguments, or the name where a
    delta brings nothing else.
    """
    reasoning = next((text(part.get(k)) for k in REASONING_KEYS if text(part.get(k))), "")
    if reasoning:
        yield DeltaKind.REASONING, reasoning
    if content := text(part.get("content")):
        yield DeltaKind.CONTENT, content
    if refusal := text(part.get("refusal")):
        yield DeltaKind.REFUSAL, refusal
    for call in _calls(part):
        if said := text(call.get("arguments")) or text(call.get("name")):
            yield DeltaKind.TOOL, said


def of_choice(choice: Mapping[str, Any]) -> Iterator[Piece]:
    """Yield the token-bearing pieces of a choice: chat or completion, stream or not."""
    if legacy := text(choice.get("text")):
        yield DeltaKind.CONTENT, legacy
    yield from pieces(obj(choice.get("delta")))
    yield from pieces(obj(choice.get("message")))


def _calls(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the function of every tool call, and the ``function_call`` that preceded them."""
    listed = part.get("tool_calls")
    for call in listed if isinstance(listed, list) else ():
        yield obj(obj(call).get("function"))
    yield obj(part.get("function_call"))
