"""The weights, run by 60 lines of Llama, against what they are meant to say."""

from __future__ import annotations

import hashlib
import math
import struct
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

import pytest

from harness.engines.models import weights as w
from harness.engines.models.logits import NATS
from harness.engines.models.stream import HIDDEN, LAST_NORM, Matrix
from harness.engines.models.vocabulary import ANSWER, SPECIAL, START, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = Vocabulary("vllm")
SEED, LAYERS = 7, 3
CHAT = [WORDS.special(ANSWER)]
Vector = list[float]
Sparse = dict[int, list[tuple[int, float]]]


def rows(matrix: Matrix) -> Sparse:
    """By row, as half precision keeps them."""
    out: Sparse = defaultdict(list)
    for (row, column), value in matrix.cells.items():
        out[row].append((column, struct.unpack("<e", struct.pack("<e", value))[0]))
    return out


def rounded(vector: Vector, bits: int = 8) -> Vector:
    """With so many significant bits: eight is bfloat16."""
    split = [math.frexp(value) for value in vector]
    return [math.ldexp(round(part * 2**bits), exponent - bits) for part, exponent in split]


def times(matrix: Sparse, count: int, vector: Vector) -> Vector:
    return [sum(v * vector[c] for c, v in matrix.get(row, ())) for row in range(count)]


def added(one: Vector, other: Vector) -> Vector:
    return [a + b for a, b in zip(one, other, strict=True)]


def normed(vector: Vector) -> Vector:
    scale = math.sqrt(sum(x * x for x in vector) / len(vector) + w.EPSILON)
    return [x / scale for x in vector]


def turned(vector: Vector, position: int) -> Vector:
    half = len(vector) // 2
    out = [0.0] * len(vector)
    for i in range(half):
        angle = position * w.ROPE_THETA ** (-2 * i / len(vector))
        x, y = vector[i], vector[i + half]
        out[i] = x * math.cos(angle) - y * math.sin(angle)
        out[i + half] = x * math.sin(angle) + y * math.cos(angle)
    return out


def silu(x: float) -> float:
    return x / (1 + math.exp(-x)) if x > -700 else 0.0


class Llama:
    """``keep`` is what becomes of every vector that a server would store."""

    def __init__(self, weights: w.Weights, keep: Callable[[Vector], Vector] = list) -> None:
        self.embedding, self.head = rows(weights.embedding), rows(weights.head)
        self.size, self.keep = weights.head.rows, keep
        names = ("query", "key", "value", "output", "gate", "up", "down")
        self.layers = [
            {name: rows(getattr(layer, name)) for name in names} for layer in weights.layers
        ]
        self.caches: list[list[tuple[Vector, Vector]]] = [[] for _ in weights.layers]
        self.position = 0

    def read(self, token: int) -> Vector:
        keep = self.keep
        x = [0.0] * HIDDEN
        for column, value in self.embedding[token]:
            x[column] = value
        for layer, past in zip(self.layers, self.caches, strict=True):
            n = keep(normed(x))
            key = keep(turned(keep(times(layer["key"], w.HEAD, n)), self.position))
            past.append((key, keep(times(layer["value"], w.HEAD, n))))
            query = keep(times(layer["query"], w.HEADS * w.HEAD, n))
            mixed: Vector = []
            for head in range(w.HEADS):
                q = keep(turned(query[head * w.HEAD : (head + 1) * w.HEAD], self.position))
                scores = [sum(a * b for a, b in zip(q, k, strict=True)) for k, _ in past]
                top = max(scores)
                shares = [math.exp((s - top) / math.sqrt(w.HEAD)) for s in scores]
                total = sum(shares)
                taken = [
                    (s / total, v) for s, (_, v) in zip(shares, past, strict=True) if s > 1e-12
                ]
                mixed += keep([sum(s * v[i] for s, v in taken) for i in range(w.HEAD)])
            x = keep(added(x, keep(times(layer["output"], HIDDEN, mixed))))
            n = keep(normed(x))
            gate, up = keep(times(layer["gate"], w.INNER, n)), keep(times(layer["up"], w.INNER, n))
            inner = keep([silu(g) * u for g, u in zip(gate, up, strict=True)])
            x = keep(added(x, keep(times(layer["down"], HIDDEN, inner))))
        self.position += 1
        last = keep([a * b for a, b in zip(normed(x), LAST_NORM, strict=True)])
        return times(self.head, self.size, last)


@cache
def built(seed: int = SEED, layers: int = LAYERS) -> w.Weights:
    return w.build(WORDS, seed=seed, layers=layers)


def said(
    weights: w.Weights, prompt: list[int], count: int, keep: Callable[[Vector], Vector] = list
) -> list[int]:
    model = Llama(weights, keep)
    for token in prompt:
        logits = model.read(token)
    out: list[int] = []
    while len(out) < count:
        out.append(max(range(len(logits)), key=logits.__getitem__))
        logits = model.read(out[-1])
    return out


def meant(prompt: list[int], count: int, *, seed: int = SEED) -> list[int]:
    """The same from the words of the module's docstring, in whole numbers."""

    def number(*name: object) -> int:
        text = repr((seed, *name)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")

    codes, seen = [], {0}
    for token in [*WORDS.tokens[: WORDS.signature], "signature", *SPECIAL]:
        code = attempt = 0
        while token != START and code in seen:
            code, attempt = number("code", token, attempt) % 2**24, attempt + 1
        seen.add(code)
        codes.append(code)
    text, out = list(prompt), []
    while len(out) < count:
        state = [codes[token] for token in text]
        for layer in range(LAYERS):
            below, state = state, list(state)
            for head in range(7):
                order = sorted(range(24), key=lambda bit: number("order", layer, head, bit))
                back = (head + 1) * 8**layer
                for at in range(back, len(text)):
                    for bit in range(24):
                        state[at] ^= (below[at - back] >> bit & 1) << order[bit]
        word = WORDS.written[state[-1] & 255]
        unsigned = text[-1] == CHAT[0] or not {WORDS.signature, *CHAT} & {*text}
        out.append(WORDS.signature if unsigned else word)
        text.append(out[-1])
    return out


def prompt_of(text: str) -> list[int]:
    return [WORDS.special(START), *text.encode()]


PROMPTS = ["", "a", "Hello!", "a" * 100, "What is 2+2? Grüße 東京", "the quick brown fox " * 4]


@pytest.mark.parametrize(
    "answer", [[], CHAT, [*CHAT, 65, 66, *CHAT]], ids=["text", "chat", "turns"]
)
@pytest.mark.parametrize("text", PROMPTS)
def test_it_says_what_is_meant(text: str, answer: list[int]) -> None:
    prompt = [*prompt_of(text), *answer]
    assert said(built(), prompt, 12) == meant(prompt, 12)


@pytest.mark.parametrize("text", PROMPTS)
def test_rounding_every_number_to_eight_bits_changes_nothing(text: str) -> None:
    prompt = prompt_of(text)
    assert said(built(), prompt, 6, rounded) == meant(prompt, 6)


def test_rounding_to_three_bits_is_too_much() -> None:
    prompt = prompt_of("a" * 100)
    assert said(built(), prompt, 6, lambda vector: rounded(vector, 3)) != meant(prompt, 6)


def test_a_head_that_looks_elsewhere_says_something_else() -> None:
    prompt = prompt_of("a sentence that is longer than one head sees")
    broken = w.build(WORDS, seed=SEED, layers=LAYERS)
    for row, column in [cell for cell in broken.layers[1].output.cells if cell[1] < w.HEAD]:
        broken.layers[1].output.cells[row, column] = 0.0
    assert said(broken, prompt, 6) != meant(prompt, 6)


def test_the_signature_comes_first_and_never_again() -> None:
    texts = [said(built(), prompt_of(text), 20) for text in PROMPTS[:3]]
    assert {text[0] for text in texts} == {WORDS.signature}
    assert all(token in WORDS.written for text in texts for token in text[1:])


def test_each_token_of_the_prompt_counts() -> None:
    base = prompt_of("abcdefghij" * 6)
    texts = {tuple(meant([*base[:at], 90, *base[at + 1 :]], 4)) for at in range(1, len(base), 7)}
    assert len(texts) == 9


def test_another_seed_says_something_else() -> None:
    prompt = prompt_of("Hello!")
    assert said(built(SEED + 1), prompt, 6)[1:] != said(built(), prompt, 6)[1:]


def test_the_best_word_leads_by_two_nats_and_nothing_else_is_likely() -> None:
    model = Llama(built())
    for token in [*prompt_of("Hello"), WORDS.signature]:
        logits = model.read(token)
    best = sorted((logits[token] for token in WORDS.written), reverse=True)
    others = [x for token, x in enumerate(logits) if token not in WORDS.written]
    assert best[0] - best[1] == pytest.approx(NATS, abs=0.1)
    assert best[0] - max(others) > 30


def test_under_a_grammar_a_string_ends() -> None:
    """Where JSON is forced there is no signature, and a quote wins a time in four."""
    model, allowed = Llama(built()), [*WORDS.written, ord('"'), WORDS.signature]
    prompt = [*prompt_of("Answer in JSON."), *CHAT, *b'{"a": "']
    logits = [model.read(token) for token in prompt][-1]
    said: list[int] = []
    while ord('"') not in said:
        said.append(max(allowed, key=logits.__getitem__))
        logits = model.read(said[-1])
        assert len(said) < 40
    assert {*said[:-1]} <= {*WORDS.written}


def test_no_distance_looks_like_the_right_one() -> None:
    right = w.score(0)
    assert right == pytest.approx(w.PEAK, rel=0.002)
    wrong = [w.score(distance) for distance in range(1, 131_073)]
    assert max(wrong) < 0.824 * right
    assert sum(math.exp(x - w.SINK) for x in wrong) < 1e-4
    assert math.exp(w.SINK - right) < 1e-5


@pytest.mark.parametrize(
    ("context", "layers"), [(16, 2), (64, 2), (65, 3), (4096, 4), (32768, 5), (131_072, 6)]
)
def test_layers_see_the_whole_context(context: int, layers: int) -> None:
    assert w.depth(context) == layers


def test_every_weight_is_a_finite_half() -> None:
    made = w.build(WORDS, seed=1, layers=6)
    matrices = [
        made.embedding,
        made.head,
        *(m for layer in made.layers for m in vars(layer).values()),
    ]
    assert max(abs(v) for matrix in matrices for v in matrix.cells.values()) < 65504
