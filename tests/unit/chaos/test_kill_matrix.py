from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.answer import Answer
from harness.chaos.kill_matrix import (
    ASKS,
    Cell,
    Recovery,
    judge_answers,
    judge_latency,
    judge_recovery,
    kill_matrix,
)
from harness.evidence import Verdict
from harness.routing import Deployment, Route, Rule, Tier

Said = Callable[[str], Answer]
Failed = Callable[[int], Answer]


def tier(provider: str) -> Tier:
    deployment = Deployment(
        id=f"{provider}-model@{provider}",
        group=f"{provider}-model",
        provider=provider,
        model="m",
        served_as="m",
        context_length=1,
        resident=True,
    )
    return Tier(group=deployment.group, deployments=(deployment,), why="")


CHAIN = Route(
    name="chain",
    rule=Rule.EXACT,
    target="chain",
    place="a.yaml:1:1",
    tiers=(tier("a"), tier("b"), tier("c")),
    steps=(),
)


def cell(answers: list[Answer], *down: str) -> Cell:
    return Cell(route=CHAIN, down=frozenset(down), answers=tuple(answers))


def test_the_subject_names_the_dead_in_the_order_of_the_chain(said: Said) -> None:
    assert cell([said("c: x")], "b", "a").subject == "chain [down: a, b]"
    assert cell([said("a: x")]).subject == "chain [down: none]"


def test_the_first_living_tier_must_answer_every_request(said: Said) -> None:
    found = judge_answers(cell([said("b: x")] * ASKS, "a"))
    assert (found.verdict, found.value, found.n) == (Verdict.PASS, "b", ASKS)


@pytest.mark.parametrize("wrong", ["c: skipped a tier", "unsigned"])
def test_one_answer_from_elsewhere_fails_the_cell(said: Said, wrong: str) -> None:
    found = judge_answers(cell([*[said("b: x")] * (ASKS - 1), said(wrong)], "a"))
    assert found.verdict is Verdict.FAIL
    assert f"1 of {ASKS}" in found.reason


def test_an_error_while_somebody_lives_fails(failed: Failed) -> None:
    found = judge_answers(cell([failed(500)] * ASKS, "a"))
    assert (found.verdict, found.value) == (Verdict.FAIL, "error 500")


def test_with_nobody_left_only_an_explicit_error_is_right(said: Said, failed: Failed) -> None:
    dead = ("a", "b", "c")
    errors = [failed(500), failed(429)]
    assert judge_answers(cell(errors, *dead)).verdict is Verdict.PASS
    assert judge_answers(cell(errors, *dead)).value == "error 500 | error 429"
    assert judge_answers(cell([said("a: ghost")], *dead)).verdict is Verdict.FAIL


def test_latency_is_held_against_its_bound_with_its_interval(said: Said) -> None:
    six = cell([said("a: x") for _ in range(ASKS)])
    found = judge_latency(six, bound_ms=1.0)
    assert (found.verdict, found.n, found.unit) == (Verdict.PASS, ASKS, "ms")
    assert found.interval is not None
    assert judge_latency(six, bound_ms=1e-9).verdict is Verdict.FAIL


def test_no_answer_at_all_has_no_latency_and_fails() -> None:
    assert judge_latency(cell([]), bound_ms=1.0).verdict is Verdict.FAIL


def test_a_provider_that_is_not_used_again_fails() -> None:
    assert judge_recovery(Recovery("a", CHAIN, 1.5, 8.0)).verdict is Verdict.PASS
    assert judge_recovery(Recovery("a", CHAIN, None, 8.0)).verdict is Verdict.FAIL


class Rehearsed:
    """A stack that only notes what is done to it; ``a`` is the one that starts slowly."""

    def __init__(self, said: Said) -> None:
        self.said, self.done = said, list[str]()
        self.registry = SimpleNamespace(resilience=SimpleNamespace(cooldown_s=3.0))

    def slowest_last(self, providers: tuple[str, ...]) -> list[str]:
        return sorted(providers, key=lambda provider: provider == "a")

    async def kill(self, provider: str) -> None:
        self.done.append(f"kill {provider}")

    async def revive(self, provider: str) -> None:
        self.done.append(f"revive {provider}")

    async def ask(self, name: str, **_: object) -> Answer:
        return self.said(f"{name}: x")

    async def routed_again(self, provider: str, *_: object, within_s: float) -> float:
        self.done.append(f"used {provider} within {within_s:g}")
        return 0.1


async def walked(stack: Rehearsed, most: int = 99) -> list[Cell | Recovery]:
    found = []
    async with aclosing(kill_matrix(cast("Any", stack), CHAIN)) as matrix:
        async for each in matrix:
            found.append(each)
            if len(found) == most:
                break
    return found


def test_every_subset_is_asked_and_the_slow_one_dies_once_and_comes_back(said: Said) -> None:
    stack = Rehearsed(said)
    found = asyncio.run(walked(stack))
    cells = [each for each in found if isinstance(each, Cell)]
    assert len({each.down for each in cells}) == len(cells) == 8
    assert all(len(each.answers) == ASKS for each in cells)
    assert [what for what in stack.done if what.endswith(" a")] == ["kill a", "revive a"]
    assert stack.done[-1] == "used a within 8"
    revived = [each.provider for each in found if isinstance(each, Recovery)]
    assert sorted(revived) == ["a", "b", "b", "c"]


def test_a_matrix_that_is_left_early_leaves_nobody_dead(said: Said) -> None:
    stack = Rehearsed(said)
    asyncio.run(walked(stack, most=3))
    kills = sorted(what.split()[1] for what in stack.done if what.startswith("kill"))
    revivals = sorted(what.split()[1] for what in stack.done if what.startswith("revive"))
    assert kills == revivals
    assert kills
