"""Prompts of exact token counts: ids that are tokens already, or words of one token each.

A prompt whose length is a guess measures something else than what is said: a request of 4,096
tokens fills 256 blocks of 16, one of 4,097 fills 257.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Literal

from harness.engines.models.vocabulary import SPECIAL, Vocabulary
from harness.engines.tokens import VOCABULARY
from harness.wire import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Prompts = Literal["words", "chat", "ids"]
"""How the length of a prompt is kept; see `harness.load.target.Target.prompts`."""

LEAST_WORDS = 16
"""With fewer words prompts would begin alike, and a cache of prefixes would hold them."""

_ENOUGH_WORDS = 64
MADE_UP = tuple(word.strip() for word in VOCABULARY if word.isascii())
"""Words that the tiny models know as one token each, behind a space."""


class PromptError(RuntimeError):
    """A prompt of that many tokens cannot be made; the text says why."""

    id = "load.prompt"


@dataclass(frozen=True, slots=True)
class Wording:
    """How prompts of exact counts are written for one server and model.

    With ``words`` they are chats, of words that are one token each behind a space; ``added`` is
    what everything else in such a chat comes to: its template, and ``opener``, the first word.
    Else they are ``ids``, to be sent as they are.
    """

    words: tuple[str, ...] = ()
    opener: str = ""
    added: int = 0
    ids: tuple[int, ...] = ()

    def text(self, count: int, key: str) -> str:
        """The content of a chat of ``count`` tokens, template included; follows from ``key``.

        Raises:
            PromptError: that many do not leave room for a word.
        """
        if count <= self.added:
            raise PromptError(
                f"a chat of {count} tokens: its template and first word are {self.added} already. "
                f"Ask for at least {self.added + 1}, or send ids, which no template reaches."
            )
        return f"{self.opener}{self.more(count - self.added, key)}"

    def more(self, count: int, key: str) -> str:
        """``count`` words that follow from ``key``, each behind a space."""
        return _more(self.words, count, key)

    def draw(self, count: int, key: str) -> list[int]:
        """``count`` ids that follow from ``key``."""
        return random.Random(key).choices(self.ids, k=count)  # noqa: S311 - a text, not a secret


@lru_cache(maxsize=256)
def _more(words: tuple[str, ...], count: int, key: str) -> str:
    source = random.Random(key)  # noqa: S311 - likewise
    return "".join([f" {word}" for word in source.choices(words, k=count)]) if count > 0 else ""


def single_words(
    candidates: Sequence[str], ids_of: Callable[[str], Sequence[int]], others: Sequence[str] = ()
) -> Wording:
    """The ``candidates`` that a tokenizer holds as one token each behind a space, with their ids.

    And of the ``others`` too where those are too few: a gateway that counts for itself, to pass on
    what is too long for a model, finds made-up words longer than they are. ``ids_of`` is asked a
    few times, and where some are cut in pieces once for each besides. All that are kept are then
    counted together, which must come to their number.

    Raises:
        PromptError: fewer than `LEAST_WORDS` are.
    """
    opener = candidates[0]
    empty = len(ids_of(opener))

    def counted(words: Sequence[str]) -> Sequence[int]:
        return ids_of(" ".join([opener, *words]))[empty:]

    def single(words: Sequence[str]) -> tuple[str, ...]:
        found = (word for word in words if len(counted([word] * 3)) == 3)
        return tuple(islice(found, _ENOUGH_WORDS))

    kept = tuple(candidates)
    if len(found := counted(kept)) != len(kept):
        kept = single(candidates)
        kept = kept if len(kept) >= LEAST_WORDS else kept + single(others)
        found = counted(kept)
    if len(kept) < LEAST_WORDS or len(found) != len(kept):
        raise PromptError(
            f"the tokenizer knows {len(kept)} of {len(candidates) + len(others)} common words as "
            f"one token each, fewer than {LEAST_WORDS}: no prompt of words has an exact count. "
            "Send ids."
        )
    return Wording(words=kept, opener=opener, ids=tuple(found))


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
