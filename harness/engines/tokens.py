"""The text an emulated engine generates: the same for the same question, and signed.

The first token names the engine, so any judge can tell from the text alone who answered, through
every gateway in between. The rest are made-up words, one in sixteen with letters outside ASCII
so that an answer split inside a character shows. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

ENGINE_ID = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_SIGNATURE = re.compile(rf"\s*({ENGINE_ID}):(?=\s|$)")
_SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")
_FOREIGN = (
    *("café", "naïve", "Grüße", "łódź", "señor", "smørrebrød", "Привет", "мир"),
    *("γειά", "שלום", "سلام", "東京", "你好", "한국어", "🚀", "👩\u200d💻"),
)
_SYLLABLE_COUNT = len(_SYLLABLES)
VOCABULARY = tuple(
    " "
    + _SYLLABLES[n % _SYLLABLE_COUNT]
    + _SYLLABLES[(n * 17 + n // _SYLLABLE_COUNT) % _SYLLABLE_COUNT]
    for n in range(256 - len(_FOREIGN))
) + tuple(" " + word for word in _FOREIGN)
"""256 tokens, one for each byte of a digest. Each begins with its space, as in real vocabularies,
so that joined tokens are the text."""


def signature(engine: str) -> str:
    """The first token of every answer of ``engine``."""
    return f"{engine}:"


def witness(text: str) -> str | None:
    """The engine that generated ``text``, or None if no engine signed it."""
    found = _SIGNATURE.match(text)
    return found[1] if found else None


def draw(
    count: int, *, seed: int, engine: str, model: str, prompt: str, choice: int = 0, sample: int = 0
) -> list[str]:
    """``count`` tokens: the signature, then words that follow from the arguments alone.

    ``prompt`` is the question in one text (see `canonical`), ``choice`` the index among several
    answers to one request, ``sample`` the ``seed`` of the request. The stream of words is BLAKE2b
    in counter mode, so a longer answer begins with the shorter one.
    """
    parts = [seed, engine, model, prompt, choice, sample]
    key = hashlib.blake2b(json.dumps(parts).encode(), digest_size=32).digest()
    words: list[str] = [signature(engine)]
    block = 0
    while len(words) < count:
        stream = hashlib.blake2b(block.to_bytes(8, "little"), key=key).digest()
        words.extend(VOCABULARY[byte] for byte in stream)
        block += 1
    del words[count:]
    return words


def canonical(prompt: Any) -> str:
    """One text for a prompt or a list of messages, whatever the order of their keys."""
    return json.dumps(prompt, sort_keys=True, separators=(",", ":"))


def count_words(prompt: Any) -> int:
    """Prompt tokens of a prompt or a list of messages: its words, and at least one.

    Content parts count by their ``text``; roles and templates count nothing. A prompt of token ids
    has as many tokens as ids.
    """
    return max(1, _count(prompt))


def _count(value: Any) -> int:
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, int):
        return 1
    if isinstance(value, dict):
        return _count(value.get("content") or value.get("text"))
    if isinstance(value, list):
        return sum(_count(each) for each in value)
    return 0
