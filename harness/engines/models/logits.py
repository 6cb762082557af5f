"""The output head of a tiny model: which tokens are likely where.

A signature where an answer begins, or in a text without any answer that holds none yet; then
words. An answer that does not begin with the signature was forced, by a grammar, into something
else: words then fill the strings of JSON, and what closes a string or an object comes up often
enough.
"""

from __future__ import annotations

from harness.engines.models.stream import (
    AT_ANSWER,
    CHAT,
    HIDDEN,
    ONE,
    READ,
    READ_MARK,
    SIGNED,
    Matrix,
)
from harness.engines.models.vocabulary import END, Vocabulary

NATS = 2.0
"""By how much the best word leads, for each bit in which another differs."""
_FAR = 30.0
"""Nats between what is likely, what only a grammar gets, and what it gets when all else is out."""
_JSON = frozenset(b"0123456789-.,:{[truefalsn")
_CLOSING = {ord('"'): (8, 9), ord("}"): (10, 11), ord("]"): (12, 13)}
"""Bytes that close what a grammar has opened, and the bits that make them win, a time in four."""


def build(vocabulary: Vocabulary) -> Matrix:
    """The head for a vocabulary. Bits 0 to 7 are the number of the next word."""
    head = _Head(vocabulary)
    for code, token in enumerate(vocabulary.written):
        head.spell(token, code)
    for byte in range(256):
        head.byte(byte)
    for token in range(256, len(vocabulary.tokens)):
        if token not in vocabulary.written:
            head.add(token, -4 * _FAR)
    head.add(vocabulary.special(END), 3 * _FAR)
    head.add(vocabulary.signature, 8 * _FAR, signed=-8 * _FAR, chat=-8 * _FAR, answer=8 * _FAR)
    return head.matrix


class _Head:
    def __init__(self, vocabulary: Vocabulary) -> None:
        self.matrix = Matrix(len(vocabulary.tokens), HIDDEN)

    def add(
        self,
        token: int,
        nats: float,
        *,
        signed: float = 0.0,
        chat: float = 0.0,
        answer: float = 0.0,
    ) -> None:
        """More nats for a token: always, and where something is marked."""
        self.matrix.add(token, ONE, nats * READ)
        for dimension, more in ((SIGNED, signed), (CHAT, chat), (AT_ANSWER, answer)):
            self.matrix.add(token, dimension, more * READ_MARK)

    def spell(self, token: int, code: int) -> None:
        """`NATS` for each of eight bits that is as in ``code``, centred on 0."""
        for bit in range(8):
            self.matrix.add(token, bit, (NATS if code >> bit & 1 else -NATS) * READ)
        self.add(token, NATS * (4 - code.bit_count()))

    def byte(self, byte: int) -> None:
        """Bytes are never likely but for a quote where a grammar is at work."""
        if byte not in _CLOSING:
            self.spell(byte, byte)
            self.add(byte, -_FAR if byte in _JSON else -2 * _FAR)
        else:
            for bit in _CLOSING[byte]:
                self.matrix.add(byte, bit, 4 * NATS * READ)
            self.add(byte, -3 * NATS - (0 if byte == ord('"') else _FAR))
        self.add(byte, 0.0, signed=-2 * _FAR)
