"""What a completion and a list of models say, whole or as a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.answer.strict import choices, obj
from harness.contract.check import Flaw, Tier, check
from harness.contract.conditions import ANY, CHAT, MODELS, STATUS, asked, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.answer import Answer

REFERENCE = "OpenAI API reference, chat completions"

FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter", "function_call")


@check(
    "chat.whole",
    tier=Tier.MUST,
    title="A well-formed request is answered with a whole completion",
    source=REFERENCE,
    condition=ANY,
    on=("unary", "stream", "stream_usage"),
)
def whole(answer: Answer) -> Iterator[Flaw]:
    """Everything else presumes an answer: content, a finish reason, complete framing, no error.

    A stream must bring ``[DONE]`` as well. Where this fails, the checks of the same
    scenario are not run, or fail for the same reason.
    """
    if not answer.wholeness:
        yield f"the answer is {answer.wholeness.state}: {answer.wholeness.why}", "answer"


@check(
    "chat.finish-reason.enum",
    tier=Tier.MUST,
    title="The finish reason of a choice is one of the five the API defines",
    source=f"{REFERENCE}; ollama/ollama#4357, BerriAI/litellm#12481 (end_turn)",
    condition=CHAT,
)
def finish_reason(answer: Answer) -> Iterator[Flaw]:
    """Agents branch on it: an unknown word or an empty string ends a tool loop in the wrong place.

    In a stream it is null until the end, so null is no breach there.
    """
    documents = (
        [(f"event {event.position}", chunk) for event, chunk in answer.chunks]
        if answer.streamed
        else [("body", obj(answer.body))]
    )
    for place, document in documents:
        for index, choice in choices(document):
            reason = choice.get("finish_reason")
            pending = answer.streamed and reason is None
            if not pending and reason not in FINISH_REASONS:
                yield f"finish_reason of choice {index} is {reason!r}", place


@check(
    "chat.model.echo",
    tier=Tier.SHOULD,
    title="An answer names the model that was asked for",
    source=f"{REFERENCE}; ggml-org/llama.cpp#11069, #10056 (always gpt-3.5-turbo)",
    condition=CHAT,
)
def model_echo(answer: Answer) -> Iterator[Flaw]:
    """Cost and audit are booked by the ``model`` of the answer.

    A longer name that begins with the one asked for is a dated snapshot, and fine.
    """
    wanted = asked(answer).get("model")
    if isinstance(wanted, str) and not (answer.model or "").startswith(wanted):
        yield f"model is {answer.model!r}, asked for {wanted!r}", "body"


@check(
    "chat.n.honoured-or-refused",
    tier=Tier.MUST,
    title="n=2 gives the choices 0 and 1, or a 4xx",
    source=f"{REFERENCE}; abetlen/llama-cpp-python#1906",
    condition=STATUS,
    on=("n2",),
)
def n_honoured(answer: Answer) -> Iterator[Flaw]:
    """A server that ignores ``n`` breaks every caller that reads ``choices[1]``."""
    if answer.status is not None and 400 <= answer.status < 500:
        return
    found = sorted(index for index, _ in choices(answer.body))
    if found != [0, 1]:
        listed = ", ".join(map(str, found)) or "none"
        yield f"n=2 is answered with {describe(answer)} and choices {listed}", "body"


@check(
    "models.list.shape",
    tier=Tier.SHOULD,
    title="Each listed model has id, object, created and owned_by",
    source="OpenAI API reference, models; webai-at-home#208 (LM Studio lacks created)",
    condition=MODELS,
    on=("models",),
)
def models_shape(answer: Answer) -> Iterator[Flaw]:
    """Clients that fill a menu from the list decode it strictly: one missing key empties it."""
    body = obj(answer.body)
    listed = body.get("data")
    if body.get("object") != "list" or not isinstance(listed, list):
        yield "the body is not {object: list, data: [...]}", "body"
        return
    if not listed:
        yield "no model is listed", "body"
    for position, model in enumerate(listed):
        for key, kind in (("id", str), ("object", str), ("created", int), ("owned_by", str)):
            value = obj(model).get(key)
            if not isinstance(value, kind) or isinstance(value, bool):
                yield f"{key} is {value!r}, which is no {kind.__name__}", f"data[{position}]"
