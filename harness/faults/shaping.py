"""What a server that misbehaves can change: the answers it is about to give.

A server that can be told of faults, as the emulator can, offers its answers in these shapes; a
fault knows of it what stands here. This module and those of the faults are loaded into that
server's process too, which is to be small: they import nothing but the standard library and
``annotated_types``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

from harness.faults.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence


class Asked(Protocol):
    """A request for text."""

    @property
    def stream(self) -> bool:
        """Whether the answer is to be streamed."""


class Reply(Protocol):
    """What was generated, before a dialect gives it a shape."""

    model: str
    """That the answer names."""
    usage: bool
    """Count tokens for the client."""
    finish: bool
    """Tell the client why the answer ended."""
    delay_ns: int
    """How much later all of it leaves."""


class Frame(Protocol):
    """Bytes that leave in one write.

    They leave with token number ``token`` of the answer; ``hold_ns`` delays them and all that
    follow.
    """

    @property
    def part(self) -> str:
        """``role`` (the opening delta), token, finish, usage, done, error, or a whole body."""

    data: bytes
    token: int
    hold_ns: int


class Shaped(Protocol):
    """An answer in the shape of its dialect."""

    frames: list[Any]
    """Each a `Frame`."""

    def close(self, how: Literal["fin", "rst"]) -> None:
        """Have the connection end after the frames, in order or by reset."""

    def after(self, tokens: int) -> int:
        """Index of the first frame that follows ``tokens`` tokens; -1: not even the opening."""


A = TypeVar("A", bound=Shaped)


class Door(Protocol[A]):
    """What the server can say without generating anything, in its own dialect."""

    def refuse(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> A:
        """An error answer, in its envelope."""

    def silence(self) -> A:
        """An answer that never comes."""

    def fail(self, answer: A, at: int, status: int) -> None:
        """Have ``answer``, a stream, tell a failure instead of the frames from ``at`` on."""


class ServerFault(Fault):
    """A fault that the server itself commits. Every hook does nothing unless overridden.

    It shapes generated answers only: lists of models, health and metrics stay as they are.
    """

    takes_down: ClassVar[bool] = False
    """While it is set the server refuses connections."""

    def shows_in(self, asked: Asked) -> bool:
        """Whether the answer can show it at all; one that cannot does not count."""
        del asked
        return True

    def instead(self, door: Door[A]) -> A | None:
        """Answer at once, without generating anything."""
        del door
        return None

    def bend_reply(self, reply: Reply) -> None:
        """Change what was generated, before it has a shape."""

    def bend_answer(self, answer: A, door: Door[A]) -> None:
        """Change the frames, or how the connection ends."""


class StreamFault(ServerFault):
    """One that only a stream can show."""

    def shows_in(self, asked: Asked) -> bool:
        """Whether it is streamed."""
        return asked.stream
