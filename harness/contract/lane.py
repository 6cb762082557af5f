"""The deterministic lane: send every scenario once, then judge what came back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import answer as answers
from harness.contract.check import Check, Violation, checks
from harness.contract.conditions import describe
from harness.contract.scenarios import SCENARIOS, Scenario
from harness.evidence.record import Verdict
from harness.wire.exchange import Exchange, Request

if TYPE_CHECKING:
    from harness.answer import Answer

SHOWN = 3
"""So many violations are told in the reason of a result; all of them are in the result."""

Labels = Mapping[str, str]
Send = Callable[[Request, Labels], Awaitable[Exchange]]
"""A recording client: it turns every outcome, also a refused connection, into an Exchange."""


@dataclass(frozen=True, slots=True)
class Observations:
    """What each scenario was answered; a scenario that was not sent is absent."""

    seen: Mapping[str, Answer]

    @classmethod
    def of(cls, exchanges: Mapping[str, Exchange]) -> Observations:
        """Read recorded exchanges, keyed by scenario id."""
        return cls({name: answers.read(exchange) for name, exchange in exchanges.items()})

    def replaced(self, scenario: str, exchange: Exchange) -> Observations:
        """Return a copy in which ``scenario`` was answered by ``exchange`` instead."""
        return Observations({**self.seen, scenario: answers.read(exchange)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one check says of one subject.

    ``exchanges`` are the ids of what it judged, ``reason`` is empty only for a
    pass and tells the first violations, ``deviation`` is the id of the ledger entry
    that explains a failure.
    """

    check: Check
    verdict: Verdict
    violations: tuple[Violation, ...] = ()
    exchanges: tuple[str, ...] = ()
    reason: str = ""
    deviation: str | None = None


async def observe(
    send: Send,
    base_url: str,
    model: str,
    key: str,
    *,
    may: Callable[[Request], bool] = lambda _: True,
) -> Observations:
    """Send every scenario once and read the answers.

    ``base_url`` ends in ``/v1``; an empty ``key`` means the subject asks for none,
    and the scenarios about keys are left out. Scenarios that generate tokens go one
    after another, so that batching cannot change a token; the others go at once.
    Every request is labelled with its scenario; one that ``may`` forbids is not sent.
    """

    async def one(scenario: Scenario, request: Request) -> tuple[str, Exchange]:
        return scenario.id, await send(request, {"scenario": scenario.id})

    built = [(s, s.build(base_url, model, key)) for s in SCENARIOS if key or not s.needs_key]
    due = [(scenario, request) for scenario, request in built if may(request)]
    exchanges = [await one(s, request) for s, request in due if s.generates]
    exchanges += await asyncio.gather(*(one(s, request) for s, request in due if not s.generates))
    return Observations.of(dict(exchanges))


def judge(observations: Observations, among: Iterable[Check] | None = None) -> list[Result]:
    """Ask every check (``among``: these alone) of the observations, in the order of their ids.

    A check whose condition no answer meets is ``not-run``, and the reason says what
    each scenario was answered instead. A check whose scenarios were not sent at all,
    because the subject requires no key, is not asked and has no result.
    """
    chosen = checks() if among is None else among
    return [
        _across(c, observations) if c.across else _each(c, observations)
        for c in chosen
        if not c.on or any(scenario in observations.seen for scenario in c.on)
    ]


def monitor(traffic: Iterable[Exchange]) -> dict[str, tuple[int, list[Violation]]]:
    """Judge any recorded traffic, such as that of a load or a chaos run.

    Returns per check id how many answers it judged and the violations it found.
    Only checks without a scenario of their own take part; those that nothing met
    are absent.
    """
    general = [c for c in checks() if not c.on]
    found: dict[str, tuple[int, list[Violation]]] = {}
    for exchange in traffic:
        answer = answers.read(exchange)
        for check in general:
            if check.condition.holds(answer):
                judged, violations = found.get(check.id, (0, []))
                found[check.id] = (judged + 1, violations + check.one(answer, exchange.id))
    return found


def _each(check: Check, observations: Observations) -> Result:
    named = {s: a for s, a in observations.seen.items() if not check.on or s in check.on}
    fit = {s: a for s, a in named.items() if check.condition.holds(a)}
    if not fit:
        return _not_run(check, observations, check.on or tuple(observations.seen))
    violations = [v for scenario, answer in fit.items() for v in check.one(answer, scenario)]
    return _result(check, fit.values(), violations)


def _across(check: Check, observations: Observations) -> Result:
    fit = [
        answer
        for scenario in check.on
        if (answer := observations.seen.get(scenario)) and check.condition.holds(answer)
    ]
    if len(fit) < len(check.on):
        return _not_run(check, observations, check.on)
    return _result(check, fit, check.together(fit, " against ".join(check.on)))


def _result(check: Check, judged: Iterable[Answer], violations: list[Violation]) -> Result:
    return Result(
        check=check,
        verdict=Verdict.FAIL if violations else Verdict.PASS,
        violations=tuple(violations),
        exchanges=tuple(a.exchange.id for a in judged),
        reason=_summary(violations),
    )


def _summary(violations: list[Violation]) -> str:
    """Join the first violations, each with its place, and count the rest."""
    more = len(violations) - SHOWN
    return "; ".join(map(str, violations[:SHOWN])) + (f"; and {more} more" if more > 0 else "")


def _not_run(check: Check, observations: Observations, scenarios: tuple[str, ...]) -> Result:
    asked = {s: observations.seen[s] for s in scenarios if s in observations.seen}
    said = "; ".join(f"{scenario}: {describe(answer)}" for scenario, answer in asked.items())
    return Result(
        check=check,
        verdict=Verdict.NOT_RUN,
        exchanges=tuple(answer.exchange.id for answer in asked.values()),
        reason=f"needs {check.condition.needs}, got {said or 'nothing'}",
    )
