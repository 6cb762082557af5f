from __future__ import annotations

import pytest

from harness.engines.models.vocabulary import END, LETTERS, SPECIAL, START, Vocabulary, spelled
from harness.engines.tokens import VOCABULARY, witness

HERE = Vocabulary("llama-cpp-native")


def cut(text: str) -> list[str]:
    """The tokens of a text without spaces but at its beginning, as BPE makes them."""
    ranks = {pair: rank for rank, pair in enumerate(HERE.merges)}
    parts = list(spelled(text))
    while True:
        pairs = [(ranks[p], n) for n, p in enumerate(zip(parts, parts[1:])) if p in ranks]  # noqa: B905, RUF007 - the pairs, not the ends
        if not pairs:
            return parts
        _, at = min(pairs)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def test_every_byte_has_its_own_printable_letter() -> None:
    assert len(set(LETTERS)) == 256
    assert all(letter.isprintable() for letter in LETTERS)
    assert HERE.tokens[:256] == LETTERS


def test_tokens_are_distinct_and_merges_are_made_of_them() -> None:
    assert len(HERE.ids) == len(HERE.tokens)
    assert all({a, b, a + b} <= HERE.ids.keys() for a, b in HERE.merges)


def test_each_word_it_writes_is_one_token_when_read() -> None:
    assert [cut(word) for word in VOCABULARY] == [[spelled(word)] for word in VOCABULARY]
    assert [HERE.tokens[token] for token in HERE.written] == [spelled(word) for word in VOCABULARY]


@pytest.mark.parametrize("text", ["日本語", "\x00\x1f", " bad", " thex", "\u200b😀", ""])
def test_any_text_can_be_read_and_given_back(text: str) -> None:
    parts = cut(text)
    assert set(parts) <= HERE.ids.keys()
    assert "".join(parts) == spelled(text)


def test_no_merge_makes_the_signature() -> None:
    token = HERE.tokens[HERE.signature]
    assert witness(token) == "llama-cpp-native"
    assert token not in {a + b for a, b in HERE.merges}
    assert cut(token) == list(token)


def test_special_tokens_come_last() -> None:
    assert tuple(HERE.tokens[-len(SPECIAL) :]) == SPECIAL
    assert [HERE.tokens[HERE.special(token)] for token in (START, END)] == [START, END]


def test_engines_differ_in_one_token() -> None:
    other = Vocabulary("vllm").tokens
    assert [a for a, b in zip(HERE.tokens, other, strict=True) if a != b] == ["llama-cpp-native:"]
