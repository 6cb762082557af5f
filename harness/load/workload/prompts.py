"""Prompts of exact token counts: ids that are tokens already, or words counted by the server.

A prompt whose length is a guess measures something else than what is said: a request of 4,096
tokens fills 256 blocks of 16, one of 4,097 fills 257.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.engines.models.vocabulary import SPECIAL, Vocabulary
from harness.engines.tokens import VOCABULARY
from harness.wire import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WORDS = tuple(word for word in VOCABULARY if word.isascii())
_MOST_TRIES = 64


class PromptError(RuntimeError):
    """A prompt of that many tokens cannot be made; the text says why."""

    id = "load.prompt"


@dataclass(frozen=True, slots=True)
class Ids:
    """Token ids from ``low`` to below ``high``: those of a vocabulary that are plain text."""

    low: int
    high: int

    def draw(self, count: int, seed: str) -> list[int]:
        """``count`` ids that follow from ``seed``; two seeds share no prefix worth caching."""
        if count < 1:
            raise PromptError(f"a prompt of {count} tokens: give at least 1")
        source = random.Random(seed)  # noqa: S311 - a text, not a secret
        return [source.randrange(self.low, self.high) for _ in range(count)]


ANY = Ids(1000, 20_000)
"""Ids that every large vocabulary has as plain text: past the bytes, before the special ones."""


def tiny_ids(engine: str) -> Ids:
    """The ids of the tiny model that signs as ``engine``, without its special tokens."""
    return Ids(256, len(Vocabulary(engine).tokens) - len(SPECIAL) - 1)


def tiny_text(count: int, seed: str) -> str:
    """A text of ``count`` tokens for a tiny model, and of as many words for an emulated engine.

    Each word begins with its space and is one token; a tokenizer that begins a text with a token
    of its own adds that one.
    """
    source = random.Random(seed)  # noqa: S311 - a text, not a secret
    return "".join(source.choice(_WORDS) for _ in range(count))


def exact_text(count: int, seed: str, tokens_of: Callable[[str], int]) -> str:
    """A text of exactly ``count`` tokens, by what ``tokens_of`` counts (the server's /tokenize).

    Raises:
        PromptError: no text of these words has that many, or what the server adds is more.
    """
    source = random.Random(seed)  # noqa: S311 - a text, not a secret
    words = [source.choice(_WORDS) for _ in range(count)]
    kept = count
    for _ in range(_MOST_TRIES):
        found = tokens_of("".join(words[:kept]))
        if found == count:
            return "".join(words[:kept])
        # Proportional steps, of at least one word, until the count is met.
        missing = count - found
        step = int(missing * kept / max(found, 1)) or (1 if missing > 0 else -1)
        kept += step
        if kept < 1:
            break
        words += [source.choice(_WORDS) for _ in range(max(0, kept - len(words)))]
    raise PromptError(
        f"no text of exactly {count} tokens was found: the tokenizer cuts these words in pieces. "
        "Send token ids to /v1/completions instead."
    )


def completion(
    url: str,
    model: str,
    prompt: list[int] | str,
    answer_tokens: int,
    *,
    stream: bool = True,
    headers: Mapping[str, str] | None = None,
) -> Request:
    """A request for exactly ``answer_tokens`` tokens after ``prompt``, on ``/v1/completions``.

    ``ignore_eos`` and ``min_tokens`` are vLLM's: the answer does not end before. ``url`` is the
    server's base, without a path.
    """
    body = {
        "model": model,
        "prompt": prompt,
        "max_tokens": answer_tokens,
        "min_tokens": answer_tokens,
        "ignore_eos": True,
        "temperature": 0.0,
        "stream": stream,
        **({"stream_options": {"include_usage": True}} if stream else {}),
    }
    return Request(
        method="POST",
        url=f"{url}/v1/completions",
        headers=(("content-type", "application/json"), *tuple((headers or {}).items())),
        body=json.dumps(body, separators=(",", ":")).encode(),
    )
