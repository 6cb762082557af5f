"""The nouns of an answer: its events, the tokens they bear, and whether it is whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.wire.exchange import Exchange
    from harness.wire.http1 import Response


class Kind(StrEnum):
    """Which endpoint was asked, by the path of the URL."""

    CHAT = "chat"
    COMPLETION = "completion"
    MODELS = "models"
    OTHER = "other"


class DeltaKind(StrEnum):
    """What a token-bearing delta carries."""

    CONTENT = "content"
    REASONING = "reasoning"
    TOOL = "tool"
    REFUSAL = "refusal"


class State(StrEnum):
    """How much of an answer arrived."""

    WHOLE = "whole"
    """Everything the caller was owed."""
    TRUNCATED = "truncated"
    """A part is missing or cannot be read."""
    EMPTY = "empty"
    """Well formed, and says nothing: no content, no tool call."""
    ERROR = "error"
    """The peer said so: a status other than 200, or an error object."""
    REFUSED = "refused"
    """Nobody listened on the port."""
    UNREACHABLE = "unreachable"
    """The peer was not reached for any other reason."""


@dataclass(frozen=True, slots=True)
class Wholeness:
    """A state and the sentence that says why."""

    state: State
    why: str

    def __bool__(self) -> bool:
        return self.state is State.WHOLE


class Event(NamedTuple):
    """One dispatched SSE event: its payload, and the JSON in it or the reason there is none.

    ``at_ns`` is the arrival of its last byte. Where ``merged`` is true the event
    shared a read with a later one and arrived somewhere in ``(after_ns, at_ns]``.
    """

    position: int
    data: bytes
    name: str
    at_ns: int
    after_ns: int
    merged: bool
    terminated: bool
    json: Any = None
    fault: str = ""

    @property
    def is_done(self) -> bool:
        """Whether the payload is the end marker ``[DONE]``, to the byte."""
        return self.data == b"[DONE]"


class Delta(NamedTuple):
    """One token-bearing piece of a stream; stamps as in `Event`.

    Chunks that carry only a role, a finish reason, usage or nothing, and comments,
    bear no token and yield no delta. ``index`` is the index of the choice, and ``event``
    the position of its event: one brings several where it has several choices or tool calls.
    """

    at_ns: int
    after_ns: int
    merged: bool
    kind: DeltaKind
    text: str
    index: int  # type: ignore[assignment]  # the method of tuples that it hides is not missed
    event: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One exchange, read as an answer of the OpenAI API.

    ``text`` joins the content of choice 0; ``finish_reasons`` maps the index of a
    choice to the last reason given for it; ``usage`` and ``error`` are the objects
    as sent. ``indexes`` are those of all its choices. ``body`` is the JSON of an answer
    that is not a stream, and ``body_fault`` says why it could not be parsed. ``ids``
    lists the distinct ids in order of appearance. Times are absent on purpose: the load
    room owns them.
    """

    exchange: Exchange
    response: Response
    kind: Kind
    status: int | None
    streamed: bool
    wholeness: Wholeness
    events: tuple[Event, ...] = ()
    deltas: tuple[Delta, ...] = ()
    text: str = ""
    finish_reasons: Mapping[int, str] = field(default_factory=dict)
    indexes: frozenset[int] = frozenset()
    usage: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    done: bool = False
    model: str | None = None
    ids: tuple[str, ...] = ()
    body: Any = None
    body_fault: str = ""

    @property
    def chunks(self) -> tuple[tuple[Event, Mapping[str, Any]], ...]:
        """The events that hold a JSON object, each with that object."""
        return tuple((e, e.json) for e in self.events if isinstance(e.json, dict))
