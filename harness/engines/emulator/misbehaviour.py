"""How the emulator misbehaves when it is told to, one small class for each way.

The catalogue of faults (``harness.faults``) lives in the harness's own process. What arrives here
is ``{"name": ..., "settings": {...}, "times": n or null}``; the class registered under that name
does it. The settings are the fields of the class.

Faults shape generated answers only: lists of models, health and metrics stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from harness.engines.emulator.answer import Answer, Frame
from harness.engines.emulator.asking import ApiError, Ask
from harness.engines.emulator.pacing import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.engines.emulator.answer import Reply
    from harness.engines.emulator.dialects.base import Dialect

_NS_PER_S = 1_000_000_000


class FaultError(ValueError):
    """A fault this engine does not know, or settings it cannot follow."""

    id = "engine.fault"


class Misbehaviour:
    """One way to misbehave; every hook does nothing unless overridden."""

    takes_down: ClassVar[bool] = False
    """While it is set the engine refuses connections."""

    def fits(self, ask: Ask) -> bool:
        """Whether this request can show it at all; one that cannot does not count."""
        del ask
        return True

    def instead(self, dialect: Dialect, path: str) -> Answer | None:
        """Answer at once, without generating anything."""
        del dialect, path
        return None

    def bend_reply(self, reply: Reply) -> None:
        """Change what was generated, before it has a shape."""

    def bend_answer(self, answer: Answer, dialect: Dialect) -> None:
        """Change the frames, or how the connection ends."""


class _InStream(Misbehaviour):
    def fits(self, ask: Ask) -> bool:
        return ask.stream


M = TypeVar("M", bound=type[Misbehaviour])
_KNOWN: dict[str, type[Misbehaviour]] = {}


def misbehaviour(name: str) -> Callable[[M], M]:
    """Register a class under the name of its fault."""

    def register(cls: M) -> M:
        _KNOWN[name] = cls
        return cls

    return register


@misbehaviour("engine.down")
@dataclass
class _Down(Misbehaviour):
    takes_down = True

    def fits(self, ask: Ask) -> bool:
        del ask
        return False


@misbehaviour("http.status")
@dataclass
class _Status(Misbehaviour):
    status: int
    retry_after: int | None = None

    def instead(self, dialect: Dialect, path: str) -> Answer:
        reason = f"The server was told to answer {self.status}."
        answer = dialect.refuse(ApiError("told", status=self.status, reason=reason), path)
        if self.retry_after is not None:
            answer.headers.append(("retry-after", str(self.retry_after)))
        return answer


@misbehaviour("hang")
@dataclass
class _Hang(Misbehaviour):
    def instead(self, dialect: Dialect, path: str) -> Answer:
        del dialect, path
        return Answer(0, [], [], silent=True)


@misbehaviour("first_token.delay")
@dataclass
class _Delay(Misbehaviour):
    ms: float

    def bend_reply(self, reply: Reply) -> None:
        reply.delay_ns += int(self.ms * NS_PER_MS)


@misbehaviour("model.wrong")
@dataclass
class _WrongModel(Misbehaviour):
    model: str

    def bend_reply(self, reply: Reply) -> None:
        reply.model = self.model


@misbehaviour("usage.missing")
@dataclass
class _NoUsage(Misbehaviour):
    def bend_reply(self, reply: Reply) -> None:
        reply.usage = False


@misbehaviour("body.truncated_json")
@dataclass
class _Truncated(Misbehaviour):
    def fits(self, ask: Ask) -> bool:
        return not ask.stream

    def bend_answer(self, answer: Answer, dialect: Dialect) -> None:
        del dialect
        body = answer.frames[0]
        body.data = body.data[: len(body.data) // 2]


@misbehaviour("stream.cut")
@dataclass
class _Cut(_InStream):
    after: int
    how: Literal["fin", "rst"] = "fin"

    def bend_answer(self, answer: Answer, dialect: Dialect) -> None:
        del dialect
        del answer.frames[answer.after(self.after) :]
        answer.ending = self.how


@misbehaviour("stream.stall")
@dataclass
class _Stall(_InStream):
    after: int
    s: float

    def bend_answer(self, answer: Answer, dialect: Dialect) -> None:
        del dialect
        at = min(answer.after(self.after), len(answer.frames) - 1)
        answer.frames[at].hold_ns += int(self.s * _NS_PER_S)


@misbehaviour("stream.no_done")
@dataclass
class _NoDone(_InStream):
    def bend_answer(self, answer: Answer, dialect: Dialect) -> None:
        del dialect
        answer.frames = [frame for frame in answer.frames if frame.part != "done"]


@misbehaviour("stream.no_finish")
@dataclass
class _NoFinish(_InStream):
    def bend_reply(self, reply: Reply) -> None:
        reply.finish = False


@misbehaviour("stream.duplicate_role")
@dataclass
class _DuplicateRole(_InStream):
    def bend_answer(self, answer: Answer, dialect: Dialect) -> None:
        del dialect
        at = answer.after(1)
        again = [Frame("role", each.data) for each in answer.frames if each.part == "role"]
        answer.frames[at:at] = again


@misbehaviour("stream.error_frame")
@dataclass
class _ErrorFrame(_InStream):
    after: int
    status: int = 500

    def bend_answer(self, answer: Answer, dialect: Dialect) -> None:
        at = answer.after(self.after)
        due = answer.frames[min(at, len(answer.frames) - 1)].token
        error = ApiError("told", status=self.status, reason="The server failed while it streamed.")
        answer.frames[at:] = [
            Frame(frame.part, frame.data, due) for frame in dialect.stream_error(error, answer)
        ]


def known() -> list[str]:
    """The names of all faults this emulator can do."""
    return sorted(_KNOWN)


@dataclass
class _Set:
    name: str
    how: Misbehaviour
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
        return [each.name for each in self._set if not each.over]

    @property
    def down(self) -> bool:
        """Whether one of them keeps the engine down."""
        return any(each.how.takes_down for each in self._set)

    def add(self, wires: Iterable[dict[str, Any]]) -> None:
        """Set more faults, all or none. Raises FaultError."""
        self._set += [_make(wire) for wire in wires]

    def clear(self) -> None:
        """Behave."""
        self._set.clear()

    def strike(self, ask: Ask) -> list[tuple[str, Misbehaviour]]:
        """The faults that shape the answer to ``ask``, in the order they were set."""
        struck = [each for each in self._set if not each.over and each.how.fits(ask)]
        for each in struck:
            each.left = None if each.left is None else each.left - 1
        return [(each.name, each.how) for each in struck]


def _make(wire: dict[str, Any]) -> _Set:
    name, settings, times = str(wire.get("name")), wire.get("settings") or {}, wire.get("times")
    cls = _KNOWN.get(name)
    if cls is None:
        raise FaultError(f"no fault is called {name!r}; this emulator can do {', '.join(known())}")
    try:
        how = cls(**settings)
    except TypeError as error:
        takes = ", ".join(signature(cls).parameters) or "no settings"
        raise FaultError(f"{name} takes {takes}; given: {settings} ({error})") from error
    if times is not None and (not isinstance(times, int) or times < 1):
        raise FaultError(f"{name}: times must be at least 1, or null for always, not {times!r}")
    return _Set(name, how, times)
