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
    from collections.abc import Iterator, Sequence

    from harness.wire.exchange import Exchange, Request
    from harness.wire.http1 import Response

_UNJUDGED = Wholeness(State.TRUNCATED, "not judged")


def read(exchange: Exchange) -> Answer:
    """Read ``exchange`` in the OpenAI dialect.

    Total: any bytes give an Answer, never an exception. The outcome depends on the
    bytes and not on how they were cut into reads; only stamps and ``merged`` do.
    """
    response = http1.parse(exchange)
    streamed = _is_stream(exchange.request, response)
    events = tuple(_events(exchange, response)) if streamed else ()
    body, fault = (None, "") if streamed else loads(response.body)
    documents = [e.json for e in events] if streamed else [body]
    deltas = tuple(_deltas(events))
    answer = Answer(
        exchange=exchange,
        response=response,
        kind=kind_of(exchange.request),
        status=response.status,
        streamed=streamed,
        wholeness=_UNJUDGED,
        events=events,
        deltas=deltas,
        text=_text(documents),
        finish_reasons=_finish_reasons(documents),
        usage=next((u for d in reversed(documents) if (u := _usage(d)) is not None), None),
        error=next((e for d in documents if (e := error_in(d)) is not None), None),
        done=any(e.is_done for e in events),
        model=next((m for d in documents if (m := text(obj(d).get("model")))), None),
        ids=tuple(dict.fromkeys(i for d in documents if (i := text(obj(d).get("id"))))),
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


def _events(exchange: Exchange, response: Response) -> Iterator[Event]:
    framed = sse.frames(response.pieces, since_ns=exchange.sent_ns or exchange.started_ns)
    dispatched = (frame for frame in framed if not frame.comment)
    for position, frame in enumerate(dispatched):
        document, fault = (None, "") if frame.data == b"[DONE]" else loads(frame.data)
        yield Event(
            position=position,
            data=frame.data,
            name=frame.event,
            at_ns=frame.at_ns,
            after_ns=frame.after_ns,
            merged=frame.merged,
            terminated=frame.terminated,
            json=document,
            fault=fault,
        )


def _deltas(events: Sequence[Event]) -> Iterator[Delta]:
    for event in events:
        for index, choice in choices(event.json):
            for kind, said in of_choice(choice):
                yield Delta(
                    at_ns=event.at_ns,
                    after_ns=event.after_ns,
                    merged=event.merged,
                    kind=kind,
                    text=said,
                    index=index,
                )


def _text(documents: Sequence[Any]) -> str:
    return "".join(
        said
        for document in documents
        for index, choice in choices(document)
        if index == 0
        for kind, said in of_choice(choice)
        if kind is DeltaKind.CONTENT
    )


def _finish_reasons(documents: Sequence[Any]) -> dict[int, str]:
    return {
        index: reason
        for document in documents
        for index, choice in choices(document)
        if (reason := text(choice.get("finish_reason")))
    }


def _usage(document: Any) -> dict[str, Any] | None:
    usage = obj(document).get("usage")
    return usage if isinstance(usage, dict) else None
