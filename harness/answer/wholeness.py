"""Is the answer whole: the one verdict that load, chaos and the contract share."""

from __future__ import annotations

from harness.answer.model import Answer, Kind, State, Wholeness
from harness.answer.strict import choices, excerpt, obj, text
from harness.answer.tokens import of_choice
from harness.wire.exchange import End

_UNREACHED = {
    End.REFUSED: (State.REFUSED, "nobody listened: the connection was refused"),
    End.UNREACHABLE: (State.UNREACHABLE, "the peer was not reached"),
}

_ENDS = {
    End.EOF: "the peer closed the connection",
    End.RESET: "the peer reset the connection",
    End.TIMEOUT: "the deadline of the client passed",
    End.CANCELLED: "the caller gave up",
}


def judge(answer: Answer) -> Wholeness:
    """Say whether ``answer`` is whole; its own ``wholeness`` is not read.

    A stream is whole only with complete framing, a finish reason for every choice,
    ``[DONE]``, no error object, no unreadable event and at least one token-bearing
    delta. Any other answer is whole only with status 200, complete framing, valid
    JSON, a finish reason and content or tool calls. What the peer itself calls an
    error is an error, however whole it arrived.
    """
    if answer.status is None:
        return _without_status(answer)
    if answer.error is not None:
        said = excerpt(text(answer.error.get("message"))) or "no message"
        place = "in the stream" if answer.streamed else "in the body"
        return Wholeness(State.ERROR, f"status {answer.status}, error object {place}: {said}")
    if answer.status != 200:
        return Wholeness(State.ERROR, f"status {answer.status} without an error object")
    if not answer.response.complete:
        return Wholeness(State.TRUNCATED, f"the body is cut: {_cut(answer)}")
    if answer.streamed:
        return _stream(answer)
    return _body(answer)


def _without_status(answer: Answer) -> Wholeness:
    exchange = answer.exchange
    detail = f" ({exchange.detail})" if exchange.detail else ""
    if exchange.end in _UNREACHED and not exchange.reads:
        state, why = _UNREACHED[exchange.end]
        return Wholeness(state, why + detail)
    if exchange.reads:
        return Wholeness(State.TRUNCATED, f"no status line could be read: {_cut(answer)}{detail}")
    how = _ENDS.get(exchange.end, exchange.end.value)
    return Wholeness(State.TRUNCATED, f"{how} before the first byte{detail}")


def _stream(answer: Answer) -> Wholeness:
    if answer.kind is Kind.OTHER:
        return Wholeness(State.WHOLE, "the framing is complete")
    for event in answer.events:
        if event.fault:
            return Wholeness(State.TRUNCATED, f"event {event.position} is {event.fault}")
    if not answer.deltas and (answer.done or not answer.events):
        return Wholeness(State.EMPTY, "a stream without one token")
    if not answer.done:
        return Wholeness(State.TRUNCATED, "the stream ends without [DONE]")
    if missing := _unfinished(answer):
        return Wholeness(State.TRUNCATED, f"no finish_reason for choice {missing}")
    return Wholeness(State.WHOLE, "tokens, finish_reason and [DONE]")


def _unfinished(answer: Answer) -> str:
    """Name the choices that were never finished."""
    return ", ".join(map(str, sorted(answer.indexes - answer.finish_reasons.keys())))


def _body(answer: Answer) -> Wholeness:
    if not answer.response.body.strip():
        return Wholeness(State.EMPTY, "status 200 with an empty body")
    if answer.kind is Kind.OTHER:
        return Wholeness(State.WHOLE, "the framing is complete")
    if answer.body_fault:
        return Wholeness(State.TRUNCATED, f"the body is {answer.body_fault}")
    return _models(answer) if answer.kind is Kind.MODELS else _completion(answer)


def _completion(answer: Answer) -> Wholeness:
    found = choices(answer.body)
    if not found:
        return Wholeness(State.EMPTY, "status 200 without one choice")
    silent = [index for index, choice in found if not of_choice(choice)]
    if silent:
        return Wholeness(State.EMPTY, f"choice {silent[0]} has no content and no tool call")
    if missing := _unfinished(answer):
        return Wholeness(State.TRUNCATED, f"no finish_reason for choice {missing}")
    return Wholeness(State.WHOLE, "content and finish_reason")


def _models(answer: Answer) -> Wholeness:
    body = obj(answer.body)
    if body.get("data") or text(body.get("id")):
        return Wholeness(State.WHOLE, "at least one model")
    return Wholeness(State.EMPTY, "no model is listed")


def _cut(answer: Answer) -> str:
    return answer.response.fault or _ENDS.get(answer.exchange.end, answer.exchange.end.value)
