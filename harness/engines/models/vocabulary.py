"""The vocabulary of a tiny model: bytes, words it reads, words it writes, and a signature.

A byte-level BPE as GPT-2 defined it (Radford et al., 2019), so that any UTF-8 text can be read
and none is unknown. Each merge adds one byte to a word that begins with its space; a text is thus
cut the same way by every implementation, whatever it thinks of the classes of letters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from harness.engines.tokens import VOCABULARY, signature

START, TURN, ANSWER, END = "<|startoftext|>", "<|im_start|>", "<|assistant|>", "<|im_end|>"
SPECIAL = (START, TURN, ANSWER, END)
"""Beginning of text; of a turn of a chat; of an answer in it; end of any turn, and of the text."""

_READ = """
the of and to in is that it for as with on be at by this are or from an have not you was but they
his her she he we my me your our its what which who when where why how can could will would should
do does did has had if then than there their them these those some any all each one two three first
out up so no more about into over after before also only just like make made time people year way
day man new good use used work life write read tell say said name list count number word words
answer question hello please explain example test model text token data user system message
sentence short long story please world best most between because very well many much other
"""
"""Frequent words of English; they make a prompt's tokens fewer than its bytes."""


def _byte_letters() -> tuple[str, ...]:
    """GPT-2's printable letter for each byte: itself where it prints, else one from U+0100 on."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = {byte: 0x100 + n for n, byte in enumerate(b for b in range(256) if b not in kept)}
    return tuple(chr(moved.get(byte, byte)) for byte in range(256))


LETTERS = _byte_letters()


def spelled(text: str) -> str:
    """``text`` in the letters of its bytes, as vocabularies write it."""
    return "".join(LETTERS[byte] for byte in text.encode())


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of the model that signs as ``engine``; a token's id is its index.

    The 256 bytes come first, in order; then words and their beginnings, in the order of `merges`;
    then the signature, which no merge makes, so that only a model can write it; then `SPECIAL`.
    """

    engine: str

    @cached_property
    def merges(self) -> tuple[tuple[str, str], ...]:
        """Pairs that BPE joins, by rank."""
        made: dict[str, tuple[str, str]] = {}
        for word in (*(f" {word}" for word in _READ.split()), *VOCABULARY):
            letters = spelled(word)
            for length in range(2, len(letters) + 1):
                made.setdefault(letters[:length], (letters[: length - 1], letters[length - 1]))
        return tuple(made.values())

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Every token, as files write it."""
        merged = ("".join(pair) for pair in self.merges)
        return (*LETTERS, *merged, spelled(signature(self.engine)), *SPECIAL)

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each token."""
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def written(self) -> tuple[int, ...]:
        """Ids of the 256 words that the model writes."""
        return tuple(self.ids[spelled(word)] for word in VOCABULARY)

    @property
    def signature(self) -> int:
        """Id of the signature."""
        return len(self.tokens) - len(SPECIAL) - 1

    def special(self, token: str) -> int:
        """Id of one of `SPECIAL`."""
        return len(self.tokens) - len(SPECIAL) + SPECIAL.index(token)
