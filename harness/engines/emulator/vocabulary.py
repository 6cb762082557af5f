"""Numbers for emulated text: token ids, log probabilities, embeddings.

All of it follows from the text alone, so that equal questions get equal answers. A token is a
word with the space before it, as in `tokens.draw`, so what ``/tokenize`` counts is what ``usage``
counts. Standard library only.
"""

from __future__ import annotations

import hashlib
import math
import re

from harness.engines import tokens

_PIECE = re.compile(r"\s*\S+|\s+")
_JSON_PIECE = re.compile(r"\w+|\s+|.", re.DOTALL)
_FIRST_ID = 256
"""Ids below are the bytes."""
_IDS = 128 * 1024
_MOST_KNOWN = 64 * 1024


def pieces(text: str) -> list[str]:
    """A text cut into tokens; joined they are the text."""
    return _PIECE.findall(text)


def json_pieces(text: str) -> list[str]:
    """JSON cut as models write it: names, numbers and single marks."""
    return _JSON_PIECE.findall(text)


def token_id(token: str) -> int:
    """The id of a token, from its text alone."""
    data = token.encode("utf-8", "replace")
    if len(data) == 1:
        return data[0]
    digest = hashlib.blake2b(data, digest_size=4).digest()
    return _FIRST_ID + int.from_bytes(digest) % (_IDS - _FIRST_ID)


class Tokenizer:
    """Text to ids and back; it can only name ids it has given out, and the bytes."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""
        found = pieces(text)
        if len(self._known) < _MOST_KNOWN:
            self._known.update((token_id(piece), piece) for piece in found)
        return [token_id(piece) for piece in found]

    def decode(self, ids: list[int]) -> str:
        """The text of ids; the replacement character for those it never gave."""
        return "".join(
            self._known.get(each) or (chr(each) if 0 <= each < 128 else "\ufffd") for each in ids
        )


def logprob(token: str) -> float:
    """The log probability a token is given: between -2 and 0, from its text alone."""
    return -(token_id(token) * 40_503 % 2_000_003) / 1_000_003


def alternatives(token: str, count: int) -> list[tuple[str, float]]:
    """The ``count`` most probable tokens in its place, itself first, each with its logprob."""
    best = logprob(token)
    found = [(token, best)]
    others = tokens.draw(count + 2, seed=0, engine="x", model="", prompt=token)[1:]
    for rank, other in enumerate(dict.fromkeys(each for each in others if each != token)):
        found.append((other, best - 1.5 * (rank + 1)))
    return found[:count]


def embedding(text: str, dimensions: int) -> list[float]:
    """A unit vector that follows from the text."""
    raw: list[float] = []
    block = 0
    while len(raw) < dimensions:
        data = hashlib.blake2b(text.encode("utf-8", "replace"), salt=block.to_bytes(8)).digest()
        raw += [int.from_bytes(data[at : at + 4]) / 2**31 - 1 for at in range(0, 64, 4)]
        block += 1
    del raw[dimensions:]
    norm = math.sqrt(sum(each * each for each in raw)) or 1.0
    return [each / norm for each in raw]
