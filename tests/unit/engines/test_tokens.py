from __future__ import annotations

import pytest

from harness.engines import tokens
from harness.engines.tokens import canonical, count_words, draw, signature, witness

ASKED = {"seed": 1, "engine": "vllm", "model": "m", "prompt": "p"}


def test_the_same_question_gets_the_same_tokens() -> None:
    assert draw(300, **ASKED) == draw(300, **ASKED)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"engine": "other"},
        {"model": "n"},
        {"prompt": "q"},
        {"choice": 1},
        {"sample": 1},
    ],
)
def test_anything_else_gets_other_tokens(change: dict[str, object]) -> None:
    assert draw(20, **{**ASKED, **change})[1:] != draw(20, **ASKED)[1:]


def test_a_longer_answer_begins_with_the_shorter_one() -> None:
    assert draw(500, **ASKED)[:70] == draw(70, **ASKED)


@pytest.mark.parametrize("count", [1, 2, 64, 65, 66, 200])
def test_the_count_is_exact(count: int) -> None:
    assert len(draw(count, **ASKED)) == count


@pytest.mark.parametrize("engine", ["vllm", "llama-cpp-native", "a.b_c-1", "9"])
def test_the_first_token_tells_who_answered(engine: str) -> None:
    words = draw(5, **{**ASKED, "engine": engine})
    assert words[0] == signature(engine)
    assert witness("".join(words)) == witness(words[0]) == engine


@pytest.mark.parametrize("text", ["", "hello", "a sentence: of a model", "http://x", ":", "vllm"])
def test_a_text_nobody_signed_has_no_witness(text: str) -> None:
    assert witness(text) is None


def test_the_vocabulary_is_distinct_words_some_of_them_outside_ascii() -> None:
    words = tokens.VOCABULARY
    assert len(words) == len(set(words)) == 256
    assert all(word.startswith(" ") and len(word.split()) == 1 for word in words)
    assert sum(not word.isascii() for word in words) == 16
    assert any(max(map(ord, word)) > 0xFFFF for word in words)


def test_words_of_a_prompt_are_counted_wherever_they_stand() -> None:
    parts = [{"type": "text", "text": "d e"}, {"type": "image_url", "image_url": {"url": "x y"}}]
    messages = [{"role": "system", "content": "a b c"}, {"role": "user", "content": parts}]
    assert count_words(messages) == 5
    assert count_words("a b") == 2
    assert count_words([{"role": "user", "content": None}]) == 1


def test_a_question_is_the_same_whatever_the_order_of_its_keys() -> None:
    assert canonical([{"a": 1, "b": 2}]) == canonical([{"b": 2, "a": 1}])
