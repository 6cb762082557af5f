"""Prompts of a given length, as a pure function of a key."""

from __future__ import annotations

import random
from functools import lru_cache

_TEXT = (
    "the of and to in is it for as was with be by on not he his but at are this have from or had "
    "an they which one you were all her she there would their we him been has when who will no "
    "more if out so up said what its about than into them can only other time new some could "
    "these two may first then do any like my now over such our man me even most made after also "
    "did many off before must well back through years much where your way"
)
WORDS = tuple(_TEXT.split())
"""Words that common tokenizers know as one token each, with the space before them."""


@lru_cache(maxsize=256)
def words(key: str, tokens: int) -> str:
    """``tokens`` words that follow from ``key`` alone; fewer are the beginning of more.

    An emulated engine counts words, so the count is exact there. Common vocabularies (GPT, Llama,
    Qwen) hold each of these words as one token; what a chat template adds comes on top.
    """
    source = random.Random(key)  # noqa: S311 - a text, no cryptography
    return " ".join(source.choices(WORDS, k=tokens))
