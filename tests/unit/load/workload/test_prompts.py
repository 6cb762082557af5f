from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from harness.engines.models.vocabulary import SPECIAL, Vocabulary
from harness.engines.tokens import count_words
from harness.load.workload.prompts import (
    ANY,
    MADE_UP,
    PromptError,
    Wording,
    completion,
    single_words,
    tiny_ids,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def test_ids_are_as_many_as_asked_and_follow_from_the_seed() -> None:
    assert len(ANY.draw(4096, "a")) == 4096
    assert ANY.draw(9, "a") == ANY.draw(9, "a")
    prompts = [ANY.draw(16, str(seed)) for seed in range(20)]
    assert all(one[:4] != other[:4] for one, other in combinations(prompts, 2))


def test_ids_of_a_tiny_model_are_none_of_its_special_tokens() -> None:
    vocabulary = Vocabulary("engine")
    ids = tiny_ids("engine")
    assert ids.high == vocabulary.signature
    assert set(ids.draw(5000, "x")).isdisjoint(vocabulary.special(each) for each in SPECIAL)


def test_an_emulated_engine_counts_ids_and_words_as_they_are() -> None:
    assert count_words(ANY.draw(4096, "x")) == 4096
    assert count_words(" ".join(MADE_UP)) == len(MADE_UP)


def test_each_made_up_word_is_a_token_of_the_tiny_model() -> None:
    known = {word.replace("Ġ", " ") for word in Vocabulary("engine").tokens}
    assert all(f" {word}" in known for word in MADE_UP)


WORDS = tuple(f"w{number}" for number in range(40))


def cutting(*cut: str, before: int = 1) -> Callable[[str], list[int]]:
    """A tokenizer that cuts these words in two, and puts tokens of its own before a text."""

    def ids_of(text: str) -> list[int]:
        words = text.split()
        return [0] * before + [hash(word) for word in words for _ in range(1 + (word in cut))]

    return ids_of


def test_words_that_are_one_token_each_are_found_by_asking() -> None:
    asked = 0
    ids_of = cutting()

    def counting(text: str) -> list[int]:
        nonlocal asked
        asked += 1
        return ids_of(text)

    wording = single_words(WORDS, counting)
    assert (wording.words, asked) == (WORDS, 2)
    assert wording.ids == tuple(hash(word) for word in WORDS)
    some = single_words(WORDS, cutting("w3", "w9", before=2))
    assert set(WORDS) - set(some.words) == {"w3", "w9"}


def test_made_up_words_are_used_only_where_common_ones_are_too_few() -> None:
    assert single_words(WORDS, cutting(), MADE_UP).words == WORDS
    some = single_words(WORDS, cutting(*WORDS[20:]), MADE_UP).words
    assert some == WORDS[:20]
    few = single_words(WORDS, cutting(*WORDS[5:]), MADE_UP).words
    assert few[:5] == WORDS[:5]
    assert 16 <= len(few) - 5 <= len(set(few) & set(MADE_UP))


def test_a_tokenizer_that_knows_too_few_words_is_refused() -> None:
    with pytest.raises(PromptError, match=r"knows 15 of 40 common words .* Send ids"):
        single_words(WORDS, cutting(*WORDS[15:]))


@pytest.mark.parametrize("count", [9, 200])
def test_a_chat_has_as_many_tokens_as_asked_with_what_is_added(count: int) -> None:
    template, ids_of = 6, cutting(WORDS[0])  # the opener is two tokens
    wording = replace(single_words(WORDS, ids_of), added=template + 1 + len(ids_of(WORDS[0])) - 2)
    text = wording.text(count, "a")
    assert template + len(ids_of(text)) - 1 == count
    assert text == wording.text(count, "a") != wording.text(count, "b")
    assert len(wording.draw(count, "a")) == count


def test_a_chat_shorter_than_its_template_is_refused() -> None:
    with pytest.raises(PromptError, match="Ask for at least 10"):
        Wording(words=WORDS, opener="w", added=9).text(9, "a")


def test_a_prompt_of_nothing_is_refused() -> None:
    with pytest.raises(PromptError, match="at least 1"):
        ANY.draw(0, "x")


def test_a_completion_asks_for_exactly_so_many_tokens() -> None:
    request = completion("http://h:1", "m", [7, 8], 5, headers={"authorization": "Bearer k"})
    body = json.loads(request.body)
    assert request.url == "http://h:1/v1/completions"
    assert ("authorization", "Bearer k") in request.headers
    assert (body["prompt"], body["max_tokens"], body["min_tokens"]) == ([7, 8], 5, 5)
    assert body["ignore_eos"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert "stream_options" not in json.loads(
        completion("http://h", "m", "x", 5, stream=False).body
    )
