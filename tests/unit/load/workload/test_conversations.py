from __future__ import annotations

import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.load.workload.conversations import Conversations, Lengths

TALK = Conversations(
    fresh=Lengths(40, most=200),
    answer=Lengths(100, most=300),
    turns=4,
    prefixes=3,
    shared_tokens=256,
    think_s=2.0,
    limit=1024,
    seed=7,
)


@given(number=st.integers(0, 10_000))
def test_what_a_request_asks_for_depends_on_its_number_alone(number: int) -> None:
    assert TALK.asking(number) == TALK.asking(number)
    assert TALK.asking(number).prompt_tokens + TALK.asking(number).answer_tokens <= TALK.limit


@given(conversation=st.integers(0, 1000))
def test_a_turn_brings_all_that_was_said_before_as_far_as_it_fits(conversation: int) -> None:
    turns = [TALK.asking(conversation * TALK.turns + turn) for turn in range(TALK.turns)]
    said = 0
    for one in turns:
        room = TALK.limit - one.shared_tokens - one.fresh_tokens - one.answer_tokens
        assert one.history_tokens == min(said, room)
        said += one.fresh_tokens + one.answer_tokens
    assert len({one.prefix for one in turns}) == 1
    assert [one.think_s > 0 for one in turns] == [False, True, True, True]


def test_conversations_share_a_few_prefixes_and_vary_in_length() -> None:
    asked = [TALK.asking(number) for number in range(0, 1200, TALK.turns)]
    assert {one.prefix for one in asked} == {0, 1, 2}
    assert len({one.answer_tokens for one in asked}) > 50


def test_another_seed_is_another_load() -> None:
    other = Conversations(fresh=TALK.fresh, answer=TALK.answer, seed=8)
    assert [other.asking(n).answer_tokens for n in range(5)] != [
        TALK.asking(4 * n).answer_tokens for n in range(5)
    ]


def test_lengths_keep_to_their_median_and_bounds() -> None:
    source = random.Random(1)
    drawn = [Lengths(100, spread=0.7, least=20, most=400).draw(source) for _ in range(5000)]
    assert median(drawn) == pytest.approx(100, rel=0.05)
    assert min(drawn) == 20
    assert max(drawn) == 400
    assert Lengths(100, spread=0).draw(source) == 100


@pytest.mark.parametrize(
    "made",
    [
        lambda: Lengths(0),
        lambda: Lengths(10, most=5),
        lambda: Lengths(10, spread=-1),
        lambda: Conversations(fresh=TALK.fresh, answer=TALK.answer, turns=0),
        lambda: Conversations(fresh=TALK.fresh, answer=Lengths(5)),
    ],
)
def test_what_cannot_be_asked_is_refused(made: object) -> None:
    assert callable(made)
    with pytest.raises(ValueError, match=r"give|may need"):
        made()
