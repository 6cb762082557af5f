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

_CONTENT = DeltaKind.CONTENT  # asked of every chunk: an attribute of an enum costs a call


def pieces(part: Mapping[str, Any]) -> list[Piece]:
    """List the token-bearing pieces of a ``delta`` or a ``message``, in reading order.

    An empty string bears no token. A tool call is borne by its name as well as by
    its arguments; the text of that piece is the arguments, or the name where a
    delta brings nothing else.
    """
    found: list[Piece] = []
    for key in REASONING_KEYS:
        if (said := part.get(key)) and isinstance(said, str):
            found.append((DeltaKind.REASONING, said))
            break
    if (said := part.get("content")) and isinstance(said, str):
        found.append((_CONTENT, said))
    if (said := part.get("refusal")) and isinstance(said, str):
        found.append((DeltaKind.REFUSAL, said))
    if "tool_calls" in part or "function_call" in part:
        said_by = (text(call.get("arguments")) or text(call.get("name")) for call in _calls(part))
        found += [(DeltaKind.TOOL, said) for said in said_by if said]
    return found


def of_choice(choice: Mapping[str, Any]) -> list[Piece]:
    """List the token-bearing pieces of a choice: chat or completion, stream or not."""
    found: list[Piece] = []
    if (legacy := choice.get("text")) and isinstance(legacy, str):
        found.append((_CONTENT, legacy))
    for key in ("delta", "message"):
        if (part := choice.get(key)) and isinstance(part, dict):
            found += pieces(part)
    return found


def _calls(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the function of every tool call, and the ``function_call`` that preceded them."""
    listed = part.get("tool_calls")
    for call in listed if isinstance(listed, list) else ():
        yield obj(obj(call).get("function"))
    yield obj(part.get("function_call"))
