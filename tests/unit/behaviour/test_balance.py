from __future__ import annotations

import random
from collections import Counter

import pytest

from harness.behaviour.balance import judge_balance
from harness.evidence import Verdict

WEIGHTS = {"native": 3, "python": 1}


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ({"native": 120, "python": 40}, Verdict.PASS),
        ({"native": 80, "python": 80}, Verdict.FAIL),
        ({"native": 160}, Verdict.FAIL),
        ({"native": 12, "python": 4}, Verdict.INCONCLUSIVE),
        ({"native": 120, "python": 39, "ollama": 1}, Verdict.FAIL),
    ],
)
def test_shares_are_held_against_weights(counts: dict[str, int], verdict: Verdict) -> None:
    assert judge_balance("group", WEIGHTS, counts, ()).verdict is verdict


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ({"native": 111, "python": 49}, Verdict.PASS),
        ({"native": 160}, Verdict.PASS),
        ({"native": 120, "stranger": 40}, Verdict.FAIL),
        ({}, Verdict.INCONCLUSIVE),
    ],
)
def test_who_is_picked_by_load_owes_no_share(counts: dict[str, int], verdict: Verdict) -> None:
    even = {"native": 1, "python": 1}
    found = judge_balance("group", even, counts, (), strategy="least-busy")
    assert found.verdict is verdict
    assert "least-busy" in found.asked


def test_a_correct_balancer_is_not_failed() -> None:
    seeded = random.Random(7)
    verdicts = Counter(
        judge_balance(
            "group", WEIGHTS, Counter(seeded.choices(list(WEIGHTS), WEIGHTS.values(), k=160)), ()
        ).verdict
        for _ in range(1000)
    )
    assert verdicts == {Verdict.PASS: 1000}
