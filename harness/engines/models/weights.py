"""The weights of a tiny model: a Llama whose every weight has a reason.

Random weights write noise, and servers that round differently part after a few tokens. These
weights compute an exact function instead. Each token has a code of 24 bits, drawn from the seed.
Layer n gathers, by attention to fixed distances, the codes 0, 1, ... 7 times ``8**n`` tokens back,
each with its bits in another order, and replaces its own by their parity. After the last layer
each bit is a parity over the whole text, and eight of the bits are the number of the next word.
Bits are made 0 or 1 again in every layer, so bfloat16 gives the same text as any other precision,
and the best word leads by two nats.

Two more things are read by attention: whether the text holds a signature or the beginning of an
answer, which tells `logits` what comes next; and the beginning of the text, where a head looks
that would look before it.

RoPE: Su et al., 2021 (arXiv:2104.09864). SwiGLU: Shazeer, 2020 (arXiv:2002.05202).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.engines.models import logits
from harness.engines.models.stream import (
    AT_ANSWER,
    AT_SIGNATURE,
    AT_START,
    BITS,
    CHAT,
    HIDDEN,
    LARGE,
    MARK,
    ONE,
    READ,
    READ_MARK,
    READ_ONE,
    SIGNED,
    Matrix,
)
from harness.engines.models.vocabulary import ANSWER, START

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.models.vocabulary import Vocabulary

HEADS, HEAD, INNER = 8, 32, 416
ROPE_THETA = 1e7
EPSILON = 1e-6
"""Of RMSNorm; nothing against what `ONE` holds."""

PEAK = 180.0
"""Score of a head for the token it looks for, in nats."""
SINK = PEAK - 14.0
"""Its score for the first token, which it takes where there is none to look for."""
_SHARES = (0.374, 0.090, 0.066, 0.084, 0.070, 0.074, 0.042, 0.053, 0.033, 0.043, 0.051, 0.020)
"""How the peak is shared among RoPE's pairs, fastest first. Found by search: no other distance up
to 131,072 scores more than 82.3 % of the peak."""
_MARKS = {AT_START: (15, 40.0), AT_SIGNATURE: (14, 80.0), AT_ANSWER: (13, 60.0)}
"""The RoPE pair of each mark, slow enough to turn by 0.27 in 131,072 tokens, and what the head
that looks for marks scores it, in nats."""
_KEY = 4.0

_STEEP, _SHARP = 3.0, 16.0
"""Slope of the steps that make bits of sums, and of SiLU where it stands for a ReLU."""


@dataclass
class Layer:
    """The weights of one layer; those of its norms are all 1."""

    query: Matrix = field(default_factory=lambda: Matrix(HEADS * HEAD, HIDDEN))
    key: Matrix = field(default_factory=lambda: Matrix(HEAD, HIDDEN))
    value: Matrix = field(default_factory=lambda: Matrix(HEAD, HIDDEN))
    output: Matrix = field(default_factory=lambda: Matrix(HIDDEN, HEADS * HEAD))
    gate: Matrix = field(default_factory=lambda: Matrix(INNER, HIDDEN))
    up: Matrix = field(default_factory=lambda: Matrix(INNER, HIDDEN))
    down: Matrix = field(default_factory=lambda: Matrix(HIDDEN, INNER))


@dataclass
class Weights:
    """All weights of one model; its last norm is `stream.LAST_NORM`."""

    embedding: Matrix
    layers: list[Layer]
    head: Matrix


def depth(context_length: int) -> int:
    """Layers that see ``context_length`` tokens: each sees eight times as far as the one below."""
    layers = 1
    while HEADS**layers < context_length:
        layers += 1
    return layers


def score(distance: int) -> float:
    """What a head scores a token that is ``distance`` away from the one it looks for, in nats."""
    turns = (math.cos(distance * _frequency(pair)) for pair in range(len(_SHARES)))
    return PEAK * sum(share * turn for share, turn in zip(_SHARES, turns, strict=True))


def build(vocabulary: Vocabulary, *, seed: int, layers: int) -> Weights:
    """The weights for a vocabulary; equal for equal arguments, on every machine."""
    draw = _Draw(seed)
    return Weights(
        embedding=_embedding(vocabulary, draw),
        layers=[_layer(number, draw) for number in range(layers)],
        head=logits.build(vocabulary),
    )


class _Draw:
    """Numbers that follow from the seed and a name alone: BLAKE2b."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def number(self, *name: object) -> int:
        text = repr((self._seed, *name)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")

    def permutation(self, size: int, *name: object) -> list[int]:
        return sorted(range(size), key=lambda each: self.number(*name, each))


def _embedding(vocabulary: Vocabulary, draw: _Draw) -> Matrix:
    matrix = Matrix(len(vocabulary.tokens), HIDDEN)
    for number, code in enumerate(_codes(vocabulary, draw)):
        matrix.add(number, ONE, LARGE)
        for bit in _bits(code):
            matrix.add(number, bit, 1.0)
    matrix.add(vocabulary.special(START), AT_START, MARK)
    matrix.add(vocabulary.special(ANSWER), AT_ANSWER, MARK)
    matrix.add(vocabulary.signature, AT_SIGNATURE, MARK)
    return matrix


def _codes(vocabulary: Vocabulary, draw: _Draw) -> Iterator[int]:
    """A code for each token, all different; 0 for the first of a text.

    Every signature has the same one: engines with one seed differ in nothing but their names.
    """
    seen = {0}
    names = list(vocabulary.tokens)
    names[vocabulary.signature] = "signature"
    for token in names:
        code, attempt = 0, 0
        while token != START and code in seen:
            code = draw.number("code", token, attempt) % 2**BITS
            attempt += 1
        seen.add(code)
        yield code


def _bits(code: int) -> Iterator[int]:
    return (bit for bit in range(BITS) if code >> bit & 1)


def _frequency(pair: int) -> float:
    return float(ROPE_THETA ** (-2 * pair / HEAD))


def _layer(number: int, draw: _Draw) -> Layer:
    layer = Layer()
    for head in range(HEADS - 1):
        _look_back(layer, head, (head + 1) * HEADS**number)
        for bit, target in enumerate(draw.permutation(BITS, "order", number, head)):
            layer.output.add(target, head * HEAD + bit, 1.0)
    _look_for_marks(layer, HEADS - 1)
    if number == 0:
        layer.output.add(SIGNED, (HEADS - 1) * HEAD + BITS, MARK)
        layer.output.add(CHAT, (HEADS - 1) * HEAD + BITS + 1, MARK)
    _keys_and_values(layer)
    _parity(layer)
    return layer


def _look_back(layer: Layer, head: int, distance: int) -> None:
    """Queries that score highest for the key ``distance`` tokens back."""
    strength = math.sqrt(HEAD) / _KEY
    for pair, share in enumerate(_SHARES):
        turn = distance * _frequency(pair)
        size = PEAK * share * strength * READ_ONE
        layer.query.add(head * HEAD + pair, ONE, size * math.cos(turn))
        layer.query.add(head * HEAD + HEAD // 2 + pair, ONE, -size * math.sin(turn))
    layer.query.add(head * HEAD + _MARKS[AT_START][0], ONE, SINK * strength * READ_ONE)


def _look_for_marks(layer: Layer, head: int) -> None:
    """Queries that score a signature highest, then the beginning of an answer, then of the text."""
    for pair, nats in _MARKS.values():
        layer.query.add(head * HEAD + pair, ONE, nats * math.sqrt(HEAD) / _KEY * READ_ONE)


def _keys_and_values(layer: Layer) -> None:
    """One key for all, but the first token has its own; bits are values."""
    for pair in range(len(_SHARES)):
        layer.key.add(pair, ONE, _KEY * READ_ONE)
        layer.key.add(pair, AT_START, -_KEY * READ_MARK)
    for dimension, (pair, _) in _MARKS.items():
        layer.key.add(pair, dimension, _KEY * READ_MARK)
    for bit in range(BITS):
        layer.value.add(bit, bit, READ)
    layer.value.add(BITS, AT_SIGNATURE, READ_MARK)
    layer.value.add(BITS + 1, AT_ANSWER, READ_MARK)


def _parity(layer: Layer) -> None:
    """Replace each sum of up to eight bits by its parity.

    ``sum - (sum + 1) + 1 + step(sum - 1/2) - step(sum - 3/2) + ...``; a step is the difference
    of two ReLUs, flat but for a third of a unit, so that an error in the sum does not live on.
    """
    constant = 0
    _unit(layer, constant, ONE, slope=0.0, offset=1.0)
    inner = 1
    for bit in range(BITS):
        layer.down.add(bit, constant, 1.0 / _SHARP)
        _unit(layer, inner, bit, slope=1.0, offset=1.0)
        layer.down.add(bit, inner, -1.0 / _SHARP)
        inner += 1
        for count in range(1, HEADS + 1):
            sign = 1.0 if count % 2 else -1.0
            for half in (0.5, -0.5):
                _unit(layer, inner, bit, slope=_STEEP, offset=half - _STEEP * (count - 0.5))
                layer.down.add(bit, inner, sign * math.copysign(1.0 / _SHARP, half))
                inner += 1


def _unit(layer: Layer, inner: int, dimension: int, *, slope: float, offset: float) -> None:
    """An inner unit that is ``_SHARP * relu(slope * dimension + offset)``."""
    layer.gate.add(inner, dimension, _SHARP * slope * READ)
    layer.gate.add(inner, ONE, _SHARP * offset * READ_ONE)
    layer.up.add(inner, ONE, READ_ONE)
