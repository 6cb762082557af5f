from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engines.metrics import Quantity
from harness.load.goodput import Met
from harness.load.journal.journal import Row
from harness.load.sampling.aligned import (
    Growth,
    growth,
    in_flight,
    peak,
    rates,
    seen,
    sent_unix_ns,
    spells,
    views,
)
from harness.load.sampling.sampling import Sample, Sampled

if TYPE_CHECKING:
    from collections.abc import Mapping

S = 1_000_000_000


def row(due_s: float, ended_s: float, *, queue_ms: float | None = 0.0) -> Row:
    return Row(
        due_unix_ns=round(due_s * S),
        ended_unix_ns=round(ended_s * S),
        number=0,
        name="m",
        load=1,
        worker="0",
        met=Met(whole=queue_ms is not None, why="", queue_ms=queue_ms),
    )


def engine(*said: Mapping[str, float] | None, every_s: float = 1.0) -> Sampled:
    """Samples a beat apart from second 0; None is one that was not answered."""
    return Sampled(
        name="e",
        url="",
        samples=tuple(
            Sample(
                asked_unix_ns=round(number * every_s * S),
                at_unix_ns=round(number * every_s * S) + 2000,
                every_s=every_s,
                said={Quantity(name): value for name, value in (each or {}).items()},
                why="" if each else "late",
            )
            for number, each in enumerate(said)
        ),
    )


def test_a_request_is_under_way_from_sent_to_ended() -> None:
    one = row(1, 3, queue_ms=500)

    assert sent_unix_ns(one) == 1.5 * S
    assert in_flight([one], [S, round(1.5 * S), 2 * S, 3 * S, 4 * S]) == [0, 1, 1, 0, 0]
    assert in_flight([row(1, 3, queue_ms=None)], [S]) == [1]
    assert in_flight([], [S]) == [0]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=30),
    st.lists(st.integers(0, 110), min_size=1, max_size=20).map(sorted),
)
def test_counting_by_steps_equals_counting_each(
    spans: list[tuple[int, int]], moments: list[int]
) -> None:
    rows = [row(begun / S, (begun + lasted) / S) for begun, lasted in spans]

    counted = [
        sum(begun <= moment < begun + lasted for begun, lasted in spans) for moment in moments
    ]

    assert in_flight(rows, moments) == counted


def test_both_views_stand_beside_each_other_and_what_is_in_neither_is_told() -> None:
    rows = [row(0.5, 1.5), row(0.5, 1.5), row(0.5, 2.5)]
    sampled = engine({"running": 0}, {"running": 1, "waiting": 1}, None, {"generated": 5})

    first, second, last = views(rows, sampled)

    assert (first.client, first.running, first.waiting) == (0, 0, None)
    assert (second.client, second.running, second.waiting, second.elsewhere) == (3, 1, 1, 1)
    assert (last.client, last.running, last.elsewhere) == (0, None, None)


def test_a_spell_of_waiting_ends_at_a_gap_and_at_zero() -> None:
    waiting = [0, 2, 5, None, 1, 0, 3]
    sampled = engine(*({"waiting": w} if w is not None else None for w in waiting))

    found = spells(sampled, Quantity.WAITING)

    assert [(round(s.begun_unix_ns / S), round(s.ended_unix_ns / S)) for s in found] == [
        (1, 2),
        (4, 4),
        (6, 6),
    ]
    assert [(spell.most, spell.samples) for spell in found] == [(5, 2), (1, 1), (3, 1)]
    assert spells(engine({"running": 1}), Quantity.WAITING) == ()


def test_a_peak_is_of_the_samples_within_and_unknown_without() -> None:
    sampled = engine({"kv": 0.2}, {"kv": 0.9}, None, {"kv": 0.4}, {"running": 1})

    assert peak(sampled, Quantity.KV, 0, 2 * S) == 0.9
    assert peak(sampled, Quantity.KV, 2 * S, 9 * S) == 0.4
    assert peak(sampled, Quantity.KV, 4 * S, 9 * S) is None


def test_a_counter_grows_between_the_samples_around_a_time() -> None:
    sampled = engine(*({"preemptions": n} for n in (5, 5, 7, 9, 12)))

    assert growth(sampled, Quantity.PREEMPTIONS, round(1.5 * S), round(2.5 * S)) == Growth(4)
    assert growth(sampled, Quantity.PREEMPTIONS, round(0.5 * S), round(0.9 * S)) == Growth(0)


@pytest.mark.parametrize(
    ("said", "begun", "ended", "why"),
    [
        ((5, 7), 0.5, 1.5, "no sample after it"),
        ((5, 7), -1, 0.5, "no sample before it"),
        ((5, 0, 9), 0.5, 1.5, "the counter fell: the engine was started anew"),
    ],
)
def test_growth_that_cannot_be_told_is_not_made_up(
    said: tuple[float, ...], begun: float, ended: float, why: str
) -> None:
    sampled = engine(*({"preemptions": n} for n in said))

    found = growth(sampled, Quantity.PREEMPTIONS, round(begun * S), round(ended * S))

    assert found == Growth(None, why)


def test_a_dialect_that_does_not_tell_is_named_and_a_gauge_does_not_grow() -> None:
    untold = growth(engine({"running": 1}), Quantity.PREEMPTIONS, 0, S)

    assert untold == Growth(None, "the engine does not tell its preemptions")
    with pytest.raises(ValueError, match="running is no counter"):
        growth(engine(), Quantity.RUNNING, 0, S)


def test_rates_are_by_the_second_and_leave_out_gaps_and_falls() -> None:
    counts = [0, 10, None, 30, 40, 5, 6]
    sampled = engine(*({"generated": n} if n is not None else None for n in counts), every_s=0.5)

    found = rates(sampled, Quantity.GENERATED)

    assert [[round(rate) for _, _, rate in run] for run in found] == [[20], [20, 2]]


def test_what_was_seen_within_a_time_is_summed_up() -> None:
    said = [
        {"running": 1.0, "waiting": 0.0, "kv": 0.1, "preemptions": 0.0, "prefix_queries": 0.0},
        {"running": 33.0, "waiting": 0.0, "kv": 0.98, "preemptions": 0.0, "prefix_queries": 60.0},
        {"running": 33.0, "waiting": 4.0, "kv": 0.97, "preemptions": 2.0, "prefix_queries": 80.0},
        {"running": 9.0, "waiting": 9.0, "kv": 0.2, "preemptions": 2.0, "prefix_queries": 100.0},
    ]
    sampled = engine(*({**each, "prefix_hits": each["prefix_queries"] / 4} for each in said))

    found = seen(sampled, round(0.5 * S), round(2.5 * S))

    assert (found.samples, found.most_running, found.most_waiting) == (2, 33, 4)
    assert (found.most_kv, found.preemptions) == (0.98, Growth(2))
    assert found.waited == pytest.approx(0.5, abs=0.01)
    assert found.prefix_share == 0.25


def test_an_engine_that_answers_late_while_it_waits_is_not_seen_waiting_less() -> None:
    """Something waits for every other 10 s, and the page then takes 1 s: 1 sample for 5."""
    samples, at_s = [], 0.0
    while at_s < 60:
        waits = at_s % 20 < 10
        long_s = 1.0 if waits else 0.003
        samples.append(
            Sample(
                asked_unix_ns=round(at_s * S),
                at_unix_ns=round((at_s + long_s) * S),
                every_s=0.2,
                said={Quantity.WAITING: 5.0 * waits},
            )
        )
        at_s += max(long_s, 0.2)
    sampled = Sampled(name="e", url="", samples=tuple(samples))

    assert sum(sample.said[Quantity.WAITING] > 0 for sample in samples) < 0.2 * len(samples)
    assert seen(sampled, 0, 60 * S).waited == pytest.approx(0.5, abs=0.04)


def test_nothing_seen_is_nothing_claimed() -> None:
    found = seen(Sampled(name="e", url="", absent="no page"), 0, S)

    assert (found.samples, found.most_running, found.waited, found.most_kv) == (0, None, None, None)
    assert found.preemptions == Growth(None, "no page")
