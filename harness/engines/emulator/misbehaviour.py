"""Which faults are set in the emulator, and how it answers without generating anything.

What a fault does stands in the fault itself (`harness.faults`). What arrives here is its wire form,
``{"name": ..., "settings": {...}, "times": n or null}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.engines.emulator.answer import Answer, Frame
from harness.engines.emulator.asking import ApiError
from harness.faults import FaultError, catalogue, from_wire
from harness.faults.shaping import ServerFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.engines.emulator.asking import Ask
    from harness.engines.emulator.dialects.base import Dialect


class Door:
    """`harness.faults.shaping.Door` of one request: its dialect, and the path it came to."""

    def __init__(self, dialect: Dialect, path: str) -> None:
        self._dialect, self._path = dialect, path

    def refuse(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> Answer:
        """An error answer, in its envelope."""
        reason = f"The server was told to answer {status}."
        answer = self._dialect.refuse(ApiError("told", status=status, reason=reason), self._path)
        answer.headers += headers
        return answer

    def silence(self) -> Answer:
        """An answer that never comes."""
        return Answer(0, [], [], silent=True)

    def fail(self, answer: Answer, at: int, status: int) -> None:
        """Have ``answer``, a stream, tell a failure instead of the frames from ``at`` on."""
        due = answer.frames[min(at, len(answer.frames) - 1)].token
        error = ApiError("told", status=status, reason="The server failed while it streamed.")
        answer.frames[at:] = [
            Frame(frame.part, frame.data, due)
            for frame in self._dialect.stream_error(error, answer)
        ]


def known() -> list[str]:
    """The names of all faults this emulator can do."""
    return [name for name, cls in catalogue().items() if issubclass(cls, ServerFault)]


@dataclass
class _Set:
    fault: ServerFault
    left: int | None
    """Answers it has yet to shape; None: all."""

    @property
    def over(self) -> bool:
        return self.left == 0


class Faults:
    """The faults that are set now, and how often each has yet to strike."""

    def __init__(self) -> None:
        self._set: list[_Set] = []

    @property
    def names(self) -> list[str]:
        """Those that would still strike."""
        return [each.fault.name for each in self._set if not each.over]

    @property
    def down(self) -> bool:
        """Whether one of them keeps the engine down."""
        return any(each.fault.takes_down for each in self._set)

    def add(self, wires: Iterable[dict[str, Any]]) -> None:
        """Set more faults, all or none. Raises FaultError."""
        self._set += [_made(wire) for wire in wires]

    def clear(self) -> None:
        """Behave."""
        self._set.clear()

    def strike(self, ask: Ask) -> list[ServerFault]:
        """The faults that shape the answer to ``ask``, in the order they were set."""
        struck = [each for each in self._set if not each.over and each.fault.shows_in(ask)]
        for each in struck:
            each.left = None if each.left is None else each.left - 1
        return [each.fault for each in struck]


def _made(wire: dict[str, Any]) -> _Set:
    fault = from_wire(wire)
    if not isinstance(fault, ServerFault):
        raise FaultError(
            f"{fault.name} is no fault of a server; this one can do {', '.join(known())}"
        )
    return _Set(fault, fault.times)
