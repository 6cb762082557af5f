"""One mutant per check: observations in which exactly that clause is broken.

A check that no mutant can kill checks nothing. A mutant takes good observations -
the reference, or those of any subject that conforms - and edits the bytes of one
answer; the check of the same id must then fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.contract import rewrite
from harness.contract.check import modules
from harness.contract.lane import Observations, judge
from harness.evidence.record import Verdict
from harness.wire.exchange import Exchange

if TYPE_CHECKING:
    from harness.contract.check import Check

Edit = Callable[[Exchange], Exchange]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A server that breaks one clause: which check must see it, where, and what it does.

    ``given`` names the scenario whose answer is edited and handed out for
    ``scenario``; without it, the answer to ``scenario`` itself.
    """

    check: str
    about: str
    scenario: str
    edit: Edit
    given: str = ""

    def breaks(self, good: Observations) -> Observations:
        """Return ``good`` with the answer to one scenario broken."""
        answered = good.seen[self.scenario].exchange
        given = good.seen[self.given or self.scenario].exchange
        return good.replaced(
            self.scenario, replace(self.edit(given), id=answered.id, request=answered.request)
        )


def kills(good: Observations, checks: Iterable[Check]) -> dict[Mutant, tuple[str, ...]]:
    """Return the kill matrix: per mutant the ids of the checks that fail on it."""
    asked = tuple(checks)
    return {
        mutant: tuple(
            result.check.id
            for result in judge(mutant.breaks(good), asked)
            if result.verdict is Verdict.FAIL
        )
        for mutant in mutants()
    }


def mutants() -> tuple[Mutant, ...]:
    """Return every mutant: those below, then those that a module of checks holds as ``MUTANTS``."""
    return (*MUTANTS, *(each for module in modules() for each in getattr(module, "MUTANTS", ())))


def table(matrix: dict[Mutant, tuple[str, ...]]) -> str:
    """Draw the kill matrix as text: one line per mutant, its killers after the arrow."""
    width = max((len(m.check) for m in matrix), default=0)
    return "\n".join(
        f"{m.check:{width}}  {m.about} -> {', '.join(killers) or 'SURVIVED'}"
        for m, killers in matrix.items()
    )


def _json(edit: Callable[[Any], Any], **head: Any) -> Edit:
    return partial(rewrite.document, edit=edit, **head)


def _chunks(edit: Callable[[list[Any]], list[Any]]) -> Edit:
    return partial(rewrite.chunks, edit=edit)


def _events(edit: Callable[[list[bytes]], list[bytes]]) -> Edit:
    return partial(rewrite.events, edit=edit)


def _error(**changes: Any) -> Edit:
    return _json(lambda body: {"error": body["error"] | changes})


def _status(status: int) -> Edit:
    return _json(lambda body: body, status=status)


def _first_choice(document: Any, **changes: Any) -> Any:
    first, *rest = document["choices"]
    return document | {"choices": [first | changes, *rest]}


def _first_delta(chunk: Any, **changes: Any) -> Any:
    if not chunk["choices"]:
        return chunk
    return _first_choice(chunk, delta=chunk["choices"][0]["delta"] | changes)


def _silent(body: Any) -> Any:
    return _first_choice(body, message=body["choices"][0]["message"] | {"content": ""})


def _usage(document: Any, **changes: Any) -> Any:
    return document | {"usage": document["usage"] | changes}


def _without(document: Any, key: str) -> Any:
    return {name: value for name, value in document.items() if name != key}


def _twice_finished(chunks: list[Any]) -> list[Any]:
    end = next(n for n, c in enumerate(chunks) if c["choices"][0]["finish_reason"])
    return [*chunks[: end + 1], *chunks[end:]]


def _garbled(written: list[bytes]) -> list[bytes]:
    return [e.decode().encode("ascii", "replace").replace(b"?", "\ufffd".encode()) for e in written]


def _miscounted(chunks: list[Any]) -> list[Any]:
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return [c | {"usage": usage} if c["usage"] else c for c in chunks]


def _usage_with_choice(chunks: list[Any]) -> list[Any]:
    empty = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": None}
    return [*chunks[:-1], chunks[-1] | {"choices": [empty]}]


_detail = _json(lambda body: {"detail": body["error"]["message"]})

MUTANTS: tuple[Mutant, ...] = (
    # --- errors
    Mutant("error.envelope.object", "the error is {'detail': ...}", "bad_type", _detail),
    Mutant(
        "error.envelope.object",
        "the error is text",
        "unknown_model",
        partial(rewrite.body, edit=lambda _: b"no such model", media="text/plain"),
    ),
    Mutant("error.type.string", "error.type is null", "bad_type", _error(type=None)),
    Mutant("error.code.type", "error.code is the status as integer", "bad_type", _error(code=400)),
    Mutant(
        "error.param.present",
        "error has no param",
        "bad_type",
        _json(lambda body: {"error": _without(body["error"], "param")}),
    ),
    Mutant("error.parse.envelope", "the framework answers bad JSON", "bad_json", _detail),
    Mutant("error.validation.no-5xx", "a bad type is a 500", "bad_type", _status(500)),
    Mutant("error.validation.status-400", "a bad type is a 422", "bad_type", _status(422)),
    Mutant(
        "error.validation.not-200",
        "messages as a string is served",
        "bad_type",
        lambda exchange: exchange,
        given="unary",
    ),
    Mutant("error.model.unknown-404", "an unknown model is a 400", "unknown_model", _status(400)),
    Mutant("error.model.unknown-404", "the code is not said", "unknown_model", _error(code=None)),
    Mutant(
        "model.unknown.refused",
        "any name is served by what is loaded",
        "unknown_model",
        lambda exchange: exchange,
        given="unary",
    ),
    Mutant(
        "error.stream.preflight-status",
        "the error comes in a 200 stream",
        "unknown_model_stream",
        partial(
            rewrite.body,
            edit=lambda data: b"data: " + data.replace(b"\n", b"") + b"\n\ndata: [DONE]\n\n",
            status=200,
            media="text/event-stream",
        ),
    ),
    Mutant("error.auth.401", "a missing key is a 500", "no_key", _status(500)),
    Mutant("error.auth.401", "a wrong key is a 400", "wrong_key", _status(400)),
    # --- answers
    Mutant("chat.whole", "the content is empty", "unary", _json(_silent)),
    Mutant(
        "chat.whole",
        "the body is shorter than its Content-Length",
        "unary",
        rewrite.cut_short,
    ),
    Mutant(
        "chat.finish-reason.enum",
        "finish_reason is end_turn",
        "unary",
        _json(lambda body: _first_choice(body, finish_reason="end_turn")),
    ),
    Mutant(
        "chat.model.echo",
        "model is always gpt-3.5-turbo",
        "unary",
        _json(lambda body: body | {"model": "gpt-3.5-turbo"}),
    ),
    Mutant(
        "chat.n.honoured-or-refused",
        "n is ignored",
        "n2",
        _json(lambda body: body | {"choices": body["choices"][:1]}),
    ),
    Mutant(
        "models.list.shape",
        "created is missing",
        "models",
        _json(lambda body: body | {"data": [_without(m, "created") for m in body["data"]]}),
    ),
    # --- the OpenAPI document
    Mutant("schema.status.documented", "an error is a 418", "bad_type", _status(418)),
    Mutant(
        "schema.body.valid",
        "created is text",
        "unary",
        _json(lambda body: body | {"created": "yesterday"}),
    ),
    # --- usage
    Mutant("usage.present", "no usage", "unary", _json(lambda body: _without(body, "usage"))),
    Mutant(
        "usage.total-is-sum",
        "the total is one too high",
        "n2",
        _json(lambda body: _usage(body, total_tokens=body["usage"]["total_tokens"] + 1)),
    ),
    Mutant("usage.stream-equals-unary", "streams count zero", "stream_usage", _chunks(_miscounted)),
    # --- streams
    Mutant(
        "stream.content-type",
        "a stream is text/plain",
        "stream",
        partial(rewrite.events, edit=lambda written: written, media="text/plain"),
    ),
    Mutant(
        "stream.event.one-json",
        "one event is a list",
        "stream",
        _events(lambda written: [written[0], b"data: []\n\n", *written[1:]]),
    ),
    Mutant("stream.done.last", "no [DONE]", "stream", _events(lambda written: written[:-1])),
    Mutant(
        "stream.done.last",
        "[DONE] twice",
        "stream",
        _events(lambda written: [*written, written[-1]]),
    ),
    Mutant(
        "stream.done.last",
        "a chunk after [DONE]",
        "stream",
        _events(lambda written: [*written[:-2], written[-1], written[-2]]),
    ),
    Mutant(
        "stream.last.terminated",
        "one line end after [DONE]",
        "stream",
        _events(lambda written: [*written[:-1], written[-1].removesuffix(b"\n")]),
    ),
    Mutant(
        "stream.id.constant",
        "each chunk has its own id",
        "stream",
        _chunks(lambda chunks: [c | {"id": f"chatcmpl-{n}"} for n, c in enumerate(chunks)]),
    ),
    Mutant(
        "stream.id.constant",
        "created is the time of the chunk",
        "stream",
        _chunks(lambda chunks: [c | {"created": 1 + n} for n, c in enumerate(chunks)]),
    ),
    Mutant(
        "stream.role.once",
        "the role is on every delta",
        "stream",
        _chunks(lambda chunks: [_first_delta(c, role="assistant") for c in chunks]),
    ),
    Mutant("stream.finish-reason.once", "two finish reasons", "stream", _chunks(_twice_finished)),
    Mutant(
        "stream.finish-reason.once",
        "no finish reason",
        "stream",
        _chunks(lambda chunks: [_first_choice(c, finish_reason=None) for c in chunks]),
    ),
    Mutant(
        "stream.usage.final",
        "the usage chunk is missing",
        "stream_usage",
        _chunks(lambda chunks: chunks[:-1]),
    ),
    Mutant(
        "stream.usage.final",
        "the usage chunk has an empty choice",
        "stream_usage",
        _chunks(_usage_with_choice),
    ),
    Mutant(
        "stream.equals-unary",
        "one delta is lost",
        "stream",
        _events(lambda written: [*written[:1], *written[2:]]),
    ),
    Mutant("stream.utf8.intact", "characters are cut", "stream", _events(_garbled)),
    Mutant("stream.incremental", "everything arrives at once", "stream", rewrite.at_once),
)
