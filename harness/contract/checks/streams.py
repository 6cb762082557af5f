"""How a stream is framed, and how its chunks follow one another."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.answer import Answer, DeltaKind
from harness.answer.strict import choices, integer, obj
from harness.answer.tokens import of_choice
from harness.contract.check import Flaw, Tier, check
from harness.contract.conditions import CHAT, STREAM, STREAM_ASKED, USAGE_STREAM, asked

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE = "OpenAI API reference, chat completion chunks"
WHATWG = "WHATWG HTML, section 9.2 (server-sent events)"

SPACED_NS = 1_000_000
"""One millisecond: what is closer together was buffered and sent at once."""

SEVERAL = 2
"""What a stream is taken to hold if neither usage nor a limit says."""

CONSTANT = ("id", "created", "model")


@check(
    "stream.content-type",
    tier=Tier.MUST,
    title="A stream is text/event-stream",
    source=f"{WHATWG}, 9.2.3: any other type fails the connection",
    condition=STREAM_ASKED,
)
def content_type(answer: Answer) -> Iterator[Flaw]:
    """By this header proxies turn buffering off and browsers accept the stream at all."""
    media = (answer.response.header("content-type") or "").partition(";")[0].strip().lower()
    if media != "text/event-stream":
        yield f"a stream was asked for and {media or 'no type'} came", "header content-type"


@check(
    "stream.event.one-json",
    tier=Tier.MUST,
    title="Each event but [DONE] is one JSON object",
    source=REFERENCE,
    condition=STREAM,
)
def one_json(answer: Answer) -> Iterator[Flaw]:
    """SDKs parse each ``data`` payload by itself; half an object or two of them end the stream."""
    for event in answer.events:
        if event.is_done:
            continue
        if event.fault:
            yield event.fault, f"event {event.position}"
        elif not isinstance(event.json, dict):
            yield f"a JSON {type(event.json).__name__}, not an object", f"event {event.position}"


@check(
    "stream.done.last",
    tier=Tier.MUST,
    title="A stream ends with exactly one data: [DONE]",
    source=f"{REFERENCE}; BerriAI/litellm#1255",
    condition=STREAM,
)
def done_last(answer: Answer) -> Iterator[Flaw]:
    """``[DONE]`` is what tells a finished stream from one whose connection broke politely."""
    marks = [event.position for event in answer.events if event.is_done]
    if not marks:
        yield "no [DONE]", "end of stream"
        return
    for position in marks[1:]:
        yield "[DONE] again", f"event {position}"
    last = len(answer.events) - 1
    if len(marks) == 1 and marks[0] != last:
        yield f"{last - marks[0]} more after [DONE]", f"event {marks[0] + 1}"


@check(
    "stream.last.terminated",
    tier=Tier.SHOULD,
    title="The last event ends with a blank line",
    source=f"{WHATWG}, 9.2.6: a pending event is discarded at the end of the stream",
    condition=STREAM,
)
def last_terminated(answer: Answer) -> Iterator[Flaw]:
    """A parser that follows the standard throws an unterminated event away: here, ``[DONE]``."""
    if answer.events and not answer.events[-1].terminated:
        yield "the last event has no blank line after it", f"event {answer.events[-1].position}"


@check(
    "stream.id.constant",
    tier=Tier.MUST,
    title="All chunks of a stream share one id, one created and one model",
    source=f"{REFERENCE}; BerriAI/litellm#14962, #16584, #38098",
    condition=STREAM,
)
def id_constant(answer: Answer) -> Iterator[Flaw]:
    """Clients join chunks by ``id``; one that changes splits an answer into several."""
    for key in CONSTANT:
        first: object = None
        for event, chunk in answer.chunks:
            value = chunk.get(key)
            if value in (None, ""):
                yield f"{key} is {value!r}", f"event {event.position}"
                break
            if first is None:
                first = value
            elif value != first:
                yield f"{key} changes from {first!r} to {value!r}", f"event {event.position}"
                break


@check(
    "stream.role.once",
    tier=Tier.SHOULD,
    title="The role comes with the first delta of a choice and never again",
    source=f"{REFERENCE}; huggingface/text-generation-inference#2794",
    condition=STREAM,
)
def role_once(answer: Answer) -> Iterator[Flaw]:
    """Clients that add deltas key by key end up with ``assistantassistant``."""
    begun: set[int] = set()
    for event, chunk in answer.chunks:
        for index, choice in choices(chunk):
            role = obj(choice.get("delta")).get("role")
            if index not in begun and role != "assistant":
                yield f"the first delta of choice {index} has role {role!r}", _at(event.position)
            elif index in begun and role:
                yield f"role {role!r} again for choice {index}", _at(event.position)
                return
            begun.add(index)


@check(
    "stream.finish-reason.once",
    tier=Tier.MUST,
    title="Each choice has exactly one finish reason, and no token after it",
    source=f"{REFERENCE}; BerriAI/litellm#10686, abetlen/llama-cpp-python#735",
    condition=STREAM,
)
def finish_once(answer: Answer) -> Iterator[Flaw]:
    """It closes the choice: without it, truncation looks like an end; twice, clients end twice.

    OpenAI sends it on an empty delta. vLLM sends it with the last token, and that
    breaks nobody, so only tokens in later chunks count.
    """
    reasons: Counter[int] = Counter()
    seen: set[int] = set()
    for event, chunk in answer.chunks:
        for index, choice in choices(chunk):
            seen.add(index)
            if reasons[index] and any(of_choice(choice)):
                yield f"a token of choice {index} after its finish_reason", _at(event.position)
            if choice.get("finish_reason") is not None:
                reasons[index] += 1
    for index in sorted(seen):
        if reasons[index] != 1:
            yield f"choice {index} has {reasons[index]} finish reasons", "stream"
    if not seen:
        yield "no choice, so no finish reason", "stream"


@check(
    "stream.usage.final",
    tier=Tier.MUST,
    title="A stream asked for usage ends with one chunk that has usage and no choices",
    source=f"{REFERENCE}, stream_options; BerriAI/litellm#8450",
    condition=USAGE_STREAM,
)
def usage_final(answer: Answer) -> Iterator[Flaw]:
    """Without it streamed traffic is free of charge; with a choice in it, clients read an answer.

    The reference says: an additional chunk before ``[DONE]``, ``choices`` empty.
    """
    if not answer.chunks:
        yield "no chunk", "stream"
        return
    event, last = answer.chunks[-1]
    if not isinstance(last.get("usage"), dict):
        yield "the last chunk has no usage", _at(event.position)
    elif last.get("choices") != []:
        yield "the usage chunk has choices", _at(event.position)


@check(
    "stream.equals-unary",
    tier=Tier.MUST,
    title="The joined deltas of a stream are the text of the same answer in one body",
    source="vllm-project/vllm#9693; holds where the backend is deterministic",
    condition=CHAT,
    on=("unary", "stream"),
    across=True,
)
def equals_unary(unary: Answer, stream: Answer) -> Iterator[Flaw]:
    """Same request, temperature 0, same seed: a difference is text lost or added on the way."""
    if stream.text != unary.text:
        place = _first_difference(unary.text, stream.text)
        lengths = f"{len(stream.text)} characters in the stream, {len(unary.text)} in one body"
        one, other = (text[place : place + 20] for text in (unary.text, stream.text))
        yield f"{lengths}: {other!r} for {one!r}", f"character {place}"


@check(
    "stream.utf8.intact",
    tier=Tier.MUST,
    title="No character of a stream is cut: strict UTF-8, no U+FFFD, no lone surrogate",
    source=f"{WHATWG}, 9.2.5; RFC 3629; ggml-org/llama.cpp#11738, vllm-project/vllm#8627",
    condition=CHAT,
    on=("unary", "stream"),
    across=True,
)
def utf8_intact(unary: Answer, stream: Answer) -> Iterator[Flaw]:
    """A token may end inside a character; the server must hold it back until it is complete.

    U+FFFD is a breach only where the same answer in one body has none.
    """
    for event in stream.events:
        try:
            event.data.decode("utf-8")
        except UnicodeDecodeError as error:
            yield f"byte {error.start} is not UTF-8 ({error.reason})", _at(event.position)
    for delta in stream.deltas:
        if delta.kind is DeltaKind.CONTENT and any("\ud800" <= c <= "\udfff" for c in delta.text):
            yield f"half a surrogate pair: {delta.text!r}", "delta"
    lost = stream.text.count("\ufffd") - unary.text.count("\ufffd")
    if lost > 0:
        yield f"{lost} replacement characters that the answer in one body lacks", "text"


@check(
    "stream.incremental",
    tier=Tier.SHOULD,
    title="A stream arrives in at least two pieces, spaced in time",
    source="ollama/ollama#9632 (buffered until complete)",
    condition=STREAM,
)
def incremental(answer: Answer) -> Iterator[Flaw]:
    """A stream that is buffered and sent at once has the delay of no stream and the cost of one.

    An answer of one token has nothing to space.
    """
    stamps = sorted(delta.at_ns for delta in answer.deltas)
    if len(stamps) == 1 and _tokens(answer) <= 1:
        return
    if not stamps:
        yield "no token-bearing delta", "stream"
    elif stamps[-1] - stamps[0] < SPACED_NS:
        spread = (stamps[-1] - stamps[0]) / 1e6
        yield f"{len(stamps)} deltas arrived within {spread:.3f} ms", "stream"


def _tokens(answer: Answer) -> int:
    """Return how many tokens the stream holds or, where nobody counted, might hold."""
    counted = integer(obj(answer.usage).get("completion_tokens"))
    limit = integer(asked(answer).get("max_tokens"))
    return next((n for n in (counted, limit) if n is not None), SEVERAL)


def _at(position: int) -> str:
    return f"event {position}"


def _first_difference(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
