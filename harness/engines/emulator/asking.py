"""What a request for text asks, checked; and the tokens that follow from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness.engines import tokens
from harness.engines.emulator.answer import Called, Choice, Reply
from harness.engines.emulator.instances import instance
from harness.engines.emulator.vocabulary import json_pieces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.engines.spec import EmulatorSpec, Settings

Surface = Literal["chat", "completion", "native_chat", "native_completion", "messages", "responses"]
"""Which door of the server was used; ``messages`` is Anthropic's, native ones the server's own."""

ErrorKind = Literal[
    "malformed",
    "missing",
    "invalid",
    "model",
    "context",
    "unauthorised",
    "path",
    "method",
    "told",
]
"""Why a request is refused: it is no JSON object; lacks a field; has a wrong value; names a model
that is not served; does not fit the context; has no or a wrong key; no such path; wrong method;
or a fault, or the HTTP layer, told the engine to refuse it."""


class ApiError(Exception):
    """A request that is refused; each dialect gives ``kind`` its status and its envelope."""

    def __init__(
        self, kind: ErrorKind, param: str | None = None, *, status: int | None = None, **words: Any
    ) -> None:
        self.kind, self.param, self.status, self.words = kind, param, status, words
        super().__init__(kind)


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call, and the schema of its arguments."""

    name: str
    parameters: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A well-formed request for text."""

    surface: Surface
    model: str
    prompt: Any
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    choices: int = 1
    stop: tuple[str, ...] = ()
    seed: int = 0
    prompts: tuple[Any, ...] = ()
    """Several prompts in one request; each gets its choices."""
    echo: bool = False
    """The answer begins with the prompt."""
    logprobs: int | None = None
    """Alternatives wanted for each token; None: no log probabilities."""
    schema: Any = None
    """The answer is an instance of this JSON schema."""
    call: Tool | None = None
    """The answer is a call of this tool."""
    priority: int = 0
    """Lower goes first, where the server's policy is by priority (vLLM)."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What only this dialect knows of."""


def parse_json(body: bytes) -> dict[str, Any]:
    """The request body as an object. Raises ApiError."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError("malformed", reason=str(error)) from error
    if not isinstance(value, dict):
        raise ApiError("malformed", reason="the body is not a JSON object", value=value)
    return value


def read(body: dict[str, Any], name: str, kinds: tuple[type, ...], default: Any) -> Any:
    """``body[name]`` of one of ``kinds``; null and absent are ``default``. Raises ApiError."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise ApiError("invalid", name, reason=f"expected {expected}, got {_describe(value)}")
    return value


def read_number(body: dict[str, Any], name: str, low: float, high: float) -> None:
    """Refuse a sampling parameter that is no number or out of range. Raises ApiError."""
    value = read(body, name, (int, float), low)
    if not low <= value <= high:
        raise ApiError("invalid", name, reason=f"expected {low:g} to {high:g}, got {value}")


def read_count(
    body: dict[str, Any], names: Sequence[str], *, unlimited: bool = False
) -> int | None:
    """The first given of ``names`` as a count of at least 1. Raises ApiError.

    With ``unlimited`` any number below 1 means "no limit", as for llama.cpp and Ollama.
    """
    for name in names:
        value = read(body, name, (int,), None)
        if value is not None and value < 1:
            if unlimited:
                return None
            raise ApiError("invalid", name, reason=f"expected at least 1, got {value}")
        if value is not None:
            count: int = value
            return count
    return None


def read_stop(body: dict[str, Any]) -> tuple[str, ...]:
    """``stop`` as a tuple of texts, empty ones dropped. Raises ApiError."""
    value = read(body, "stop", (str, list), [])
    stops = [value] if isinstance(value, str) else value
    if not all(isinstance(each, str) for each in stops):
        raise ApiError("invalid", "stop", reason="expected texts")
    return tuple(each for each in stops if each)


def read_messages(body: dict[str, Any]) -> list[Any]:
    """``messages``: a list, not empty, of objects with a role. Raises ApiError."""
    messages: list[Any] | None = read(body, "messages", (list,), None)
    if messages is None:
        raise ApiError("missing", "messages")
    if not messages:
        raise ApiError("invalid", "messages", reason="expected at least one message")
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise ApiError("invalid", where, reason=f"expected object, got {_describe(message)}")
        if not isinstance(message.get("role"), str):
            raise ApiError("invalid", f"{where}.role", reason="expected str")
        if not isinstance(message.get("content"), str | list | None):
            raise ApiError("invalid", f"{where}.content", reason="expected str or list")
    return messages


def read_prompt(body: dict[str, Any]) -> Any:
    """``prompt`` of the legacy endpoint: a text or a list. Raises ApiError."""
    prompt = read(body, "prompt", (str, list), None)
    if prompt is None:
        raise ApiError("missing", "prompt")
    return prompt


def generate(ask: Ask, spec: EmulatorSpec, settings: Settings, number: int, created: int) -> Reply:
    """The reply to ``ask``; ``number`` makes its id differ from any other of this engine."""
    digest = hashlib.blake2b(f"{spec.seed} {spec.id} {number}".encode(), digest_size=16)
    choices = [
        _choose(ask, spec, settings, tokens.canonical(prompt), choice, digest.hexdigest())
        for prompt in ask.prompts or (ask.prompt,)
        for choice in range(ask.choices)
    ]
    return Reply(
        ask=ask,
        id=digest.hexdigest(),
        created=created,
        model=ask.model,
        choices=choices,
        prompt_tokens=sum(tokens.count_words(each) for each in ask.prompts or (ask.prompt,)),
        ttft_ms=settings.ttft_ms,
        itl_ms=settings.itl_ms,
        number=number,
    )


def _choose(
    ask: Ask, spec: EmulatorSpec, settings: Settings, prompt: str, choice: int, reply_id: str
) -> Choice:
    if ask.call is not None or ask.schema is not None:
        wanted = ask.schema if ask.call is None else ask.call.parameters
        made = instance(wanted, f"{spec.seed} {prompt} {choice} {ask.seed}")
        words = json_pieces(json.dumps(made, ensure_ascii=False))
        kept = words[: ask.max_tokens]
        called = None if ask.call is None else Called(f"{reply_id}{choice:02x}", ask.call.name)
        ended: Literal["stop", "tool_calls"] = "tool_calls" if called else "stop"
        return Choice(kept, ended if len(kept) == len(words) else "length", called=called)
    drawn = tokens.draw(
        ask.max_tokens or settings.default_max_tokens,
        seed=spec.seed,
        engine=spec.id,
        model=ask.model,
        prompt=prompt,
        choice=choice,
        sample=ask.seed,
    )
    return _cut(drawn, ask.stop, "stop" if ask.max_tokens is None else "length")


def _cut(words: list[str], stops: tuple[str, ...], finish: Literal["stop", "length"]) -> Choice:
    """End before the first stop text, inside a token if need be (OpenAI: ``stop`` is excluded)."""
    text = "".join(words)
    found = [(at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not found:
        return Choice(words, finish)
    left, stop = min(found)
    kept: list[str] = []
    for word in words:
        if left <= 0:
            break
        kept.append(word[:left])
        cut = len(word) > left
        left -= len(word)
    return Choice(kept, "stop", stop, cut=bool(kept) and cut)


def _describe(value: Any) -> str:
    return "null" if value is None else type(value).__name__
