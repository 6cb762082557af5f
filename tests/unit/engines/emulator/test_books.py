from __future__ import annotations

from dataclasses import replace

from harness.engines.emulator.books import Books, Histogram, Served, token_bounds

SERVED = Served(
    prompt_tokens=10,
    tokens=5,
    finish="length",
    arrived_s=1.0,
    scheduled_s=1.5,
    first_s=2.0,
    last_s=4.0,
    preemptions=1,
    cached_tokens=4,
    max_tokens=5,
)


def test_a_value_on_a_bound_belongs_below_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    assert (histogram.counts, histogram.count, histogram.sum) == ([2, 1, 1], 4, 12.0)


def test_token_buckets_go_1_2_5_up_to_the_context() -> None:
    assert token_bounds(100) == (1, 2, 5, 10, 20, 50, 100)
    assert token_bounds(99) == (1, 2, 5, 10, 20, 50)


def test_phases_add_up() -> None:
    books = Books(100)
    books.enter(SERVED)
    assert (books.queue.sum, books.prefill.sum, books.decode.sum) == (0.5, 0.5, 2.0)
    assert (books.ttft.sum, books.inference.sum, books.e2e.sum) == (1.0, 2.5, 3.0)
    assert (books.tpot.sum, books.preempted.sum, books.computed_prompts.sum) == (0.5, 1, 6)
    assert (books.prompt_tokens, books.generation_tokens, books.cached_tokens) == (10, 5, 4)


def test_of_an_aborted_answer_only_what_it_had_is_counted() -> None:
    books = Books(100)
    books.enter(replace(SERVED, finish="abort"))
    books.enter(replace(SERVED, finish="abort", first_s=None, tokens=0))
    assert books.finished == {"abort": 2}
    assert (books.ttft.count, books.e2e.count, books.generation_tokens) == (1, 0, 5)


def test_tokens_that_were_counted_as_they_came_are_not_counted_again() -> None:
    books = Books(4096)
    books.prompt(10, cached=4)
    for _ in range(5):
        books.token()

    books.enter(replace(SERVED, counted=True))

    assert (books.prompt_tokens, books.generation_tokens, books.cached_tokens) == (10, 5, 4)
    assert books.e2e.count == 1
