"""From an Exchange to an Answer: total over all bytes, blind to how they were cut."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.answer import wholeness
from harness.answer.model import Answer, Delta, DeltaKind, Event, Kind, State, Wholeness
from harness.answer.strict import choices, error_in, loads, obj, text
from harness.answer.tokens import of_choice
from harness.wire import http1, sse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.wire.exchange import Exchange, Request
    from harness.wire.http1 import Response

_UNJUDGED = Wholeness(State.TRUNCATED, "not judged")
_DONE = b"[DONE]"
_CONTENT = DeltaKind.CONTENT

_Piece = tuple[int, int, DeltaKind, str]
"""A piece that bears tokens: the place of its document, the index of its choice, and what it is."""


def read(exchange: Exchange) -> Answer:
    """Read ``exchange`` in the OpenAI dialect.

    Total: any bytes give an Answer, never an exception. The outcome depends on the
    bytes and not on how they were cut into reads; only stamps and ``merged`` do.
    """
    response = http1.parse(exchange)
    streamed = _is_stream(exchange.request, response)
    events = _events(exchange, response) if streamed else ()
    body, fault = (None, "") if streamed else loads(response.body)
    said = _Said()
    said.take([event.json for event in events] if streamed else [body])
    answer = Answer(
        exchange=exchange,
        response=response,
        kind=kind_of(exchange.request),
        status=response.status,
        streamed=streamed,
        wholeness=_UNJUDGED,
        events=events,
        deltas=_deltas(events, said.pieces) if streamed else (),
        text="".join(
            [words for _, index, kind, words in said.pieces if not index and kind is _CONTENT]
        ),
        finish_reasons=said.finish_reasons,
        indexes=frozenset(said.indexes),
        usage=said.usage,
        error=said.error,
        done=_DONE in [event.data for event in events],
        model=said.model,
        ids=tuple(said.ids),
        body=body,
        body_fault=fault,
    )
    return replace(answer, wholeness=wholeness.judge(answer))


def kind_of(request: Request) -> Kind:
    """Tell from the path of the URL which endpoint ``request`` asks."""
    path = _path(request.url)
    if path.endswith("/chat/completions"):
        return Kind.CHAT
    if path.endswith("/completions"):
        return Kind.COMPLETION
    if path.endswith("/models") or "/models/" in path:
        return Kind.MODELS
    return Kind.OTHER


def _path(url: str) -> str:
    try:
        return urlsplit(url).path.rstrip("/")
    except ValueError:  # an invalid IPv6 host
        return ""


def _is_stream(request: Request, response: Response) -> bool:
    """Tell a stream by its Content-Type, or by its looks where one was asked for.

    The second rule lets a stream with a wrong Content-Type be judged as the stream
    it is: the header is one clause of the contract, the frames are others.
    """
    declared = (response.header("content-type") or "").partition(";")[0].strip().lower()
    if declared == "text/event-stream":
        return True
    asked = obj(loads(request.body)[0]).get("stream") is True
    return asked and response.status == 200 and response.body.lstrip()[:1] not in {b"{", b"["}


def _events(exchange: Exchange, response: Response) -> tuple[Event, ...]:
    found: list[Event] = []
    for data, name, _, at_ns, after_ns, merged, terminated, comment, _ in sse.frames(
        response.pieces, since_ns=exchange.sent_ns or exchange.started_ns
    ):
        if not comment:
            document, fault = (None, "") if data == _DONE else loads(data)
            found.append(
                Event(len(found), data, name, at_ns, after_ns, merged, terminated, document, fault)
            )
    return tuple(found)


def _deltas(events: Sequence[Event], pieces: Iterable[_Piece]) -> tuple[Delta, ...]:
    found = []
    for place, index, kind, words in pieces:
        event = events[place]
        found.append(Delta(event.at_ns, event.after_ns, event.merged, kind, words, index, place))
    return tuple(found)


class _Said:
    """What the documents of an answer say: the chunks of a stream, or its one body."""

    def __init__(self) -> None:
        self.pieces: list[_Piece] = []
        self.finish_reasons: dict[int, str] = {}
        self.indexes: set[int] = set()
        self.usage: dict[str, Any] | None = None
        self.error: Mapping[str, Any] | None = None
        self.model: str | None = None
        self.ids: dict[str, None] = {}

    def take(self, documents: Iterable[Any]) -> None:
        """Go through them once, in order. Those that are no objects say nothing."""
        pieces, indexes, ids = self.pieces, self.indexes, self.ids
        for place, document in enumerate(documents):
            if not isinstance(document, dict):
                continue
            for index, choice in choices(document):
                indexes.add(index)
                for kind, words in of_choice(choice):
                    pieces.append((place, index, kind, words))
                if reason := text(choice.get("finish_reason")):
                    self.finish_reasons[index] = reason
            if isinstance(usage := document.get("usage"), dict):
                self.usage = usage
            if self.error is None:
                self.error = error_in(document)
            if self.model is None:
                self.model = text(document.get("model")) or None
            if named := text(document.get("id")):
                ids[named] = None
