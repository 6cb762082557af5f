"""What a request for text asks, checked; and the tokens that follow from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.engines import tokens
from harness.engines.emulator.answer import Choice, Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.spec import EmulatorSpec, Settings

Surface = Literal["chat", "completion", "native_chat", "native_completion"]
"""Which door of the server was used; chat ones take messages, completion ones a prompt."""

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


def parse_json(body: bytes) -> dict[str, Any]:
    """The request body as an object. Raises ApiError."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError("malformed", reason=str(error)) from error
    if not isinstance(value, dict):
        raise ApiError("malformed", reason="the body is not a JSON object")
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
    count = ask.max_tokens or settings.default_max_tokens
    digest = hashlib.blake2b(f"{spec.seed} {spec.id} {number}".encode(), digest_size=16)
    prompt = tokens.canonical(ask.prompt)
    choices = [
        _cut(
            tokens.draw(
                count,
                seed=spec.seed,
                engine=spec.id,
                model=ask.model,
                prompt=prompt,
                choice=choice,
                sample=ask.seed,
            ),
            ask.stop,
            "stop" if ask.max_tokens is None else "length",
        )
        for choice in range(ask.choices)
    ]
    return Reply(
        surface=ask.surface,
        id=digest.hexdigest(),
        created=created,
        model=ask.model,
        choices=choices,
        prompt_tokens=tokens.count_words(ask.prompt),
        stream=ask.stream,
        include_usage=ask.include_usage,
        ttft_ms=settings.ttft_ms,
        itl_ms=settings.itl_ms,
    )


def _cut(words: list[str], stops: tuple[str, ...], finish: Literal["stop", "length"]) -> Choice:
    """End before the first stop text, inside a token if need be (OpenAI: ``stop`` is excluded)."""
    text = "".join(words)
    found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    if not found:
        return Choice(words, finish)
    kept: list[str] = []
    left = min(found)
    for word in words:
        if left <= 0:
            break
        kept.append(word[:left])
        left -= len(word)
    return Choice(kept, "stop")


def _describe(value: Any) -> str:
    return "null" if value is None else type(value).__name__
