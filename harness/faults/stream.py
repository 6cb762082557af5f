"""Faults within a streamed answer.

``after`` counts the tokens that leave before the fault strikes: 0 is after the opening event if
there is one, -1 before any event.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.faults.fault import Fault, Layer, register

_WITH_ROLE_EVENT = frozenset({"openai", "vllm", "llama_cpp_native", "llama_cpp_python"})
"""Ollama sends the role with the first token: sent twice, the token would be there twice."""


@register("stream.cut", Layer.STREAM)
class Cut(Fault):
    """The connection ends amid the stream, in order (fin) or by reset (rst)."""

    after: int = Field(default=1, ge=-1)
    how: Literal["fin", "rst"] = "fin"


@register("stream.stall", Layer.STREAM)
class Stall(Fault):
    """The stream pauses and then goes on."""

    after: int = Field(default=1, ge=-1)
    s: float = Field(gt=0, description="Seconds of silence")


@register("stream.no_done", Layer.STREAM)
class NoDone(Fault):
    """The stream ends in order but without its end marker."""


@register("stream.no_finish", Layer.STREAM)
class NoFinish(Fault):
    """No event says why the answer ended."""


@register("stream.duplicate_role", Layer.STREAM, only=_WITH_ROLE_EVENT)
class DuplicateRole(Fault):
    """The opening event, which names the role, comes again after the first token."""


@register("stream.error_frame", Layer.STREAM)
class ErrorFrame(Fault):
    """An error event takes the place of the rest of the stream."""

    after: int = Field(default=1, ge=-1)
    status: int = Field(default=500, ge=400, le=599)
