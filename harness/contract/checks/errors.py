"""How a server says no: status, envelope, and who refuses what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.answer.strict import excerpt, obj
from harness.contract.check import Flaw, Tier, check
from harness.contract.conditions import ERROR, STATUS, describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.answer import Answer

REFERENCE = "OpenAI API reference, error codes"


@check(
    "error.envelope.object",
    tier=Tier.MUST,
    title="Every error is application/json with an error object that holds a message",
    source=f"{REFERENCE}; broken by FastAPI's {{'detail': ...}}, vllm-project/vllm#12886",
    condition=ERROR,
)
def envelope(answer: Answer) -> Iterator[Flaw]:
    """Every SDK reads ``error.message`` to build its exception.

    Where the body is something else - ``{"detail": ...}``, text, HTML - the caller
    sees a bare status and cannot tell a bad parameter from a dead backend.
    """
    yield from _envelope(answer)


@check(
    "error.type.string",
    tier=Tier.MUST,
    title="The type of an error is a non-empty string",
    source=REFERENCE,
    condition=ERROR,
)
def error_type(answer: Answer) -> Iterator[Flaw]:
    """Clients decide by ``error.type`` whether to retry, and some compare it without a guard."""
    if (error := _error_object(answer)) is not None:
        kind = error.get("type")
        if not isinstance(kind, str) or not kind:
            yield f"error.type is {kind!r}", "body"


@check(
    "error.code.type",
    tier=Tier.SHOULD,
    title="The code of an error is a string or null",
    source=f"{REFERENCE}; vLLM and llama.cpp send the HTTP status as an integer",
    condition=ERROR,
)
def error_code(answer: Answer) -> Iterator[Flaw]:
    """Typed clients declare ``code`` as an optional string; an integer fails their decoding."""
    if (error := _error_object(answer)) is not None:
        code = error.get("code")
        if code is not None and not isinstance(code, str):
            yield f"error.code is {code!r}, a JSON {type(code).__name__}", "body"


@check(
    "error.param.present",
    tier=Tier.SHOULD,
    title="An error names its parameter, or says null",
    source=f"{REFERENCE}; llama.cpp leaves the key out",
    condition=ERROR,
)
def error_param(answer: Answer) -> Iterator[Flaw]:
    """The key ``param`` is part of the envelope: null where no parameter is to blame."""
    error = _error_object(answer)
    if error is not None and "param" not in error:
        yield "error has no key param", "body"


@check(
    "error.parse.envelope",
    tier=Tier.MUST,
    title="A body that is not JSON is refused with a 4xx and the error envelope",
    source=f"{REFERENCE}; plain FastAPI answers {{'detail': ...}}",
    condition=STATUS,
    on=("bad_json",),
)
def parse_error(answer: Answer) -> Iterator[Flaw]:
    """Frameworks parse the body before the application runs, and answer in their own format.

    That path is easily forgotten, and it is the first one a hand-written client hits.
    """
    if not _refused(answer):
        yield f"unparsable JSON is answered with {describe(answer)}, not a 4xx", "status"
    yield from _envelope(answer)


@check(
    "error.validation.no-5xx",
    tier=Tier.MUST,
    title="A malformed request never yields a 5xx",
    source=f"{REFERENCE}; vllm-project/vllm#35438, ggml-org/llama.cpp#23463",
    condition=STATUS,
    on=("bad_json", "bad_type"),
)
def no_server_error(answer: Answer) -> Iterator[Flaw]:
    """A 5xx says the server broke: clients retry it, routers cool the deployment down.

    One caller's typing error then takes a healthy backend away from everybody.
    """
    if answer.status is not None and answer.status >= 500:
        yield f"a malformed request is answered with {describe(answer)}", "status"


@check(
    "error.validation.status-400",
    tier=Tier.SHOULD,
    title="A malformed request is refused with 400",
    source=f"{REFERENCE}: 400 invalid_request_error; FastAPI answers 422",
    condition=ERROR,
    on=("bad_json", "bad_type"),
)
def validation_status(answer: Answer) -> Iterator[Flaw]:
    """SDKs raise ``BadRequestError`` for 400 alone; 422 and 500 are other classes."""
    if answer.status != 400:
        yield f"a malformed request is refused with {answer.status}, not 400", "status"


@check(
    "error.validation.not-200",
    tier=Tier.MUST,
    title="A parameter of the wrong type is refused",
    source=REFERENCE,
    condition=STATUS,
    on=("bad_type",),
)
def validated(answer: Answer) -> Iterator[Flaw]:
    """Who accepts ``messages: "hello"`` guesses, and the next version guesses otherwise."""
    if answer.status is not None and answer.status < 400:
        yield f"messages as a string is answered with {describe(answer)}", "status"


@check(
    "error.model.unknown-404",
    tier=Tier.SHOULD,
    title="An unknown model is refused with 404 and code model_not_found",
    source=f"{REFERENCE}; BerriAI/litellm#39457 saw OpenAI answer 400 as well",
    condition=STATUS,
    on=("unknown_model",),
)
def unknown_model(answer: Answer) -> Iterator[Flaw]:
    """The status tells a wrong name from a wrong request, and the code says so to a program."""
    if answer.status != 404:
        yield f"an unknown model is answered with {describe(answer)}, not 404", "status"
    code = obj(answer.error).get("code")
    if code != "model_not_found":
        yield f"error.code is {code!r}, not 'model_not_found'", "body"


@check(
    "model.unknown.refused",
    tier=Tier.MUST,
    title="An unknown model is never served",
    source="ggml-org/llama.cpp#10056, ROCm/FastFlowLM#266",
    condition=STATUS,
    on=("unknown_model",),
)
def never_served(answer: Answer) -> Iterator[Flaw]:
    """A server that ignores the name answers with whatever it has loaded.

    A typing error in a route then goes to another model, and nothing tells.
    """
    if not _refused(answer):
        served = f" by {answer.model!r}" if answer.model else ""
        yield f"an unknown model is answered{served} with {describe(answer)}, not a 4xx", "status"


@check(
    "error.stream.preflight-status",
    tier=Tier.MUST,
    title="An error known before the first token sets the status of a stream as well",
    source="ggml-org/llama.cpp#14566, sgl-project/sglang#12081",
    condition=STATUS,
    on=("unknown_model_stream",),
)
def preflight(answer: Answer) -> Iterator[Flaw]:
    """A 200 that carries its error inside is a success to every proxy, cache and metric."""
    if answer.status == 200 and answer.error is not None:
        yield "the error of an unknown model comes inside a 200 stream", "status"


@check(
    "error.auth.401",
    tier=Tier.MUST,
    title="A missing or a wrong key is refused with 401 and the error envelope",
    source=f"{REFERENCE}; RFC 9110 section 15.5.2; BerriAI/litellm#1554",
    condition=STATUS,
    on=("no_key", "wrong_key"),
)
def unauthorized(answer: Answer) -> Iterator[Flaw]:
    """Only 401 tells a caller that the key is the trouble: a 400 or a 500 sends them elsewhere."""
    if answer.status != 401:
        yield f"the key is refused with {describe(answer)}, not 401", "status"
    yield from _envelope(answer)


def _refused(answer: Answer) -> bool:
    return answer.status is not None and 400 <= answer.status < 500


def _error_object(answer: Answer) -> Mapping[str, Any] | None:
    """Return the error object; without one, `error.envelope.object` has said all there is."""
    error = obj(answer.body).get("error")
    return error if isinstance(error, dict) else None


def _envelope(answer: Answer) -> Iterator[Flaw]:
    if answer.status is None or answer.status < 400:
        return
    media = (answer.response.header("content-type") or "").partition(";")[0].strip().lower()
    if media != "application/json":
        yield f"an error of type {media or 'unstated'}, not application/json", "header content-type"
    body = obj(answer.body)
    error = body.get("error")
    if isinstance(error, dict):
        if not isinstance(error.get("message"), str) or not error["message"]:
            yield f"error.message is {error.get('message')!r}", "body"
    elif "error" in body:
        yield f"error is {excerpt(repr(error))}, not an object", "body"
    else:
        keys = excerpt(", ".join(body))
        yield f"no error object in the body ({keys or answer.body_fault or 'no keys'})", "body"
