"""Faults within a streamed answer.

``after`` counts the tokens that leave before the fault strikes: 0 is after the opening event if
there is one, -1 before any event.
"""

from __future__ import annotations

from copy import copy
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from harness.faults.fault import Layer, register
from harness.faults.shaping import A, Door, Reply, StreamFault

_WITH_ROLE_EVENT = frozenset({"openai", "vllm", "llama_cpp_native", "llama_cpp_python"})
"""Ollama sends the role with the first token: sent twice, the token would be there twice."""
_NS_PER_S = 1_000_000_000


@register("stream.cut", Layer.STREAM)
class Cut(StreamFault):
    """The connection ends amid the stream, in order (fin) or by reset (rst)."""

    after: Annotated[int, Ge(-1)] = 1
    how: Literal["fin", "rst"] = "fin"

    def bend_answer(self, answer: A, door: Door[A]) -> None:
        """Leave the rest out."""
        del door
        del answer.frames[answer.after(self.after) :]
        answer.close(self.how)


@register("stream.stall", Layer.STREAM)
class Stall(StreamFault):
    """The stream pauses and then goes on."""

    after: Annotated[int, Ge(-1)] = 1
    s: Annotated[float, Gt(0)]
    """Seconds of silence."""

    def bend_answer(self, answer: A, door: Door[A]) -> None:
        """Hold the frame that would come next, or the last one there is."""
        del door
        at = min(answer.after(self.after), len(answer.frames) - 1)
        answer.frames[at].hold_ns += int(self.s * _NS_PER_S)


@register("stream.no_done", Layer.STREAM)
class NoDone(StreamFault):
    """The stream ends in order but without its end marker."""

    def bend_answer(self, answer: A, door: Door[A]) -> None:
        """Leave the marker out."""
        del door
        answer.frames = [frame for frame in answer.frames if frame.part != "done"]


@register("stream.no_finish", Layer.STREAM)
class NoFinish(StreamFault):
    """No event says why the answer ended."""

    def bend_reply(self, reply: Reply) -> None:
        """Do not tell."""
        reply.finish = False


@register("stream.duplicate_role", Layer.STREAM, only=_WITH_ROLE_EVENT)
class DuplicateRole(StreamFault):
    """The opening event, which names the role, comes again after the first token."""

    def bend_answer(self, answer: A, door: Door[A]) -> None:
        """Say it again."""
        del door
        at = answer.after(1)
        again = [copy(frame) for frame in answer.frames if frame.part == "role"]
        for frame in again:
            frame.hold_ns = 0
        answer.frames[at:at] = again


@register("stream.error_frame", Layer.STREAM)
class ErrorFrame(StreamFault):
    """An error event takes the place of the rest of the stream."""

    after: Annotated[int, Ge(-1)] = 1
    status: Annotated[int, Ge(400), Le(599)] = 500

    def bend_answer(self, answer: A, door: Door[A]) -> None:
        """Tell the failure."""
        door.fail(answer, answer.after(self.after), self.status)
