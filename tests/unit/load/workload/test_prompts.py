from __future__ import annotations

import json
from itertools import combinations

import pytest

from harness.engines.models.vocabulary import SPECIAL, Vocabulary
from harness.engines.tokens import count_words
from harness.load.workload.prompts import (
    ANY,
    PromptError,
    completion,
    exact_text,
    tiny_ids,
    tiny_text,
)


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
    assert count_words(tiny_text(77, "x")) == 77


def test_each_word_of_a_tiny_text_is_a_token_of_the_tiny_model() -> None:
    known = {word.replace("Ġ", " ") for word in Vocabulary("engine").tokens}
    assert all(f" {word}" in known for word in tiny_text(50, "x").split())


@pytest.mark.parametrize(("per_word", "count"), [(1.0, 200), (1.5, 200), (3.0, 103)])
def test_a_text_is_cut_until_the_server_counts_what_was_asked(per_word: float, count: int) -> None:
    """A tokenizer that needs more than one token for a word, and adds one of its own."""

    def tokens_of(text: str) -> int:
        return 1 + int(len(text.split()) * per_word)

    assert tokens_of(exact_text(count, "x", tokens_of)) == count


def test_where_no_text_has_that_many_it_says_so() -> None:
    with pytest.raises(PromptError, match="Send token ids"):
        exact_text(101, "x", lambda text: 1 + 3 * len(text.split()))


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
