"""Prices of a step that explain what an engine answered, found by playing its loads again.

Throughput and waiting do not follow from a step's length by a formula: the simulation is the
formula, and the prices are searched for that make it meet the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean, median
from typing import TYPE_CHECKING

from harness.engines.scheduler.simulate import Arrival, simulate
from harness.engines.scheduler.steptime import Fitted
from harness.load.calibrate.loads import AHEAD_S, Load
from harness.load.calibrate.measuring import Measured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.engines.scheduler import SchedulerConfig
    from harness.engines.scheduler.simulate import Outcome

Prices = Fitted
Seen = tuple[Load, Measured, Mapping[str, float]]
"""A load, what it met, and by figure how far its repetitions lay apart."""
FIGURES = ("throughput", "itl_s")
DISTRIBUTIONS = {"ttft_s": "ttft_deciles_s", "e2e_s": "e2e_deciles_s"}
"""What the search compares, in ratios; a distribution counts as much as a figure.

What requests meet falls into heaps (those of the first rush, those that found the engine busy),
and a median alone may lie in the gap between two.
"""
_NAMES = (
    "constant_s",
    "prefill_token_s",
    "decode_s",
    "context_token_s",
    "front_s",
    "front_delay_s",
    "front_token_s",
)
_LEAST_S = 1e-9
_LEAST_SPREAD = 0.05
"""Repetitions that lie nearer to each other do so by chance."""
_SETTLED = 1e-6
"""Costs of the simplex that differ by less are one."""
_BEGINNINGS = 3
_STEP_ROUNDS = 100
_ENOUGH_STEPS = 2000


@dataclass(frozen=True, slots=True)
class _Point:
    cost: float
    where: tuple[float, ...]


def predict(config: SchedulerConfig, prices: Prices, load: Load, measured: Measured) -> Measured:
    """What ``load`` would have met, with prompts and answers as they turned out."""
    requests = measured.requests
    sent = min(load.concurrency, len(requests))
    following = iter(requests[sent:])

    ahead = measured.ahead
    first = [Arrival(0.0, each.prompt_tokens, each.answer_tokens) for each in requests[:sent]]
    before = []
    if ahead is not None:
        before.append(Arrival(-AHEAD_S, ahead.prompt_tokens, ahead.answer_tokens))

    def again(outcome: Outcome) -> Arrival | None:
        each = None if outcome.arrival in before else next(following, None)
        if each is None:
            return None
        return Arrival(outcome.last_at_s, each.prompt_tokens, each.answer_tokens)

    run = simulate([*before, *first], config, prices, after=again)
    met = [outcome for outcome in run.outcomes if outcome.arrival not in before]
    return Measured.of(
        requests,
        seconds=run.ended_at_s,
        ttft_s=[each.ttft_s for each in met],
        itl_s=[each.itl_s for each in met],
        e2e_s=[each.e2e_s for each in met],
        waiting=run.waiting_s / run.ended_at_s,
        preemptions=run.preemptions,
        ahead=ahead,
    )


def fit(
    configs: Sequence[SchedulerConfig],
    seen: Sequence[Seen],
    *,
    rounds: int = 120,
) -> tuple[SchedulerConfig, Prices]:
    """The prices that bring the simulation nearest to what was measured, and the config they fit.

    ``configs`` are what the engine may be: of those the one that explains most is taken. The sum
    over `FIGURES` and `DISTRIBUTIONS` of the absolute log ratios, each divided by its spread, is
    minimised by Nelder and Mead's simplex over the logarithms of the prices, from the prices of
    the steps as they were seen, and begun anew some times lest it collapse. Deterministic.
    """
    start = _start(seen)
    tried = [
        (config, _simplex(partial(_cost, config, seen), _Point(math.inf, start), rounds))
        for config in configs
    ]
    config, best = min(tried, key=lambda each: each[1].cost)
    for _ in range(1, _BEGINNINGS):
        best = _simplex(partial(_cost, config, seen), best, rounds)
    return config, _prices(best.where)


def _cost(config: SchedulerConfig, seen: Sequence[Seen], where: Sequence[float]) -> float:
    prices = _prices(where)
    total = 0.0
    for load, measured, spread in seen:
        expected = predict(config, prices, load, measured)
        for figure in FIGURES:
            off = _off((getattr(expected, figure),), (getattr(measured, figure),))
            total += off / max(spread.get(figure, 0.0), _LEAST_SPREAD)
        for figure, deciles in DISTRIBUTIONS.items():
            off = _off(getattr(expected, deciles), getattr(measured, deciles))
            total += off / max(spread.get(figure, 0.0), _LEAST_SPREAD)
    return total


def _off(expected: Sequence[float], measured: Sequence[float]) -> float:
    """The mean of the absolute log ratios: a heap that is a little wider moves few deciles far."""
    return fmean(
        abs(math.log(max(one, _LEAST_S) / max(other, _LEAST_S)))
        for one, other in zip(expected, measured, strict=True)
    )


def _prices(where: Sequence[float]) -> Prices:
    return replace(
        Fitted(constant_s=0.0),
        **{name: math.exp(value) for name, value in zip(_NAMES, where, strict=True)},
    )


def _start(seen: Sequence[Seen]) -> tuple[float, ...]:
    """Prices of the steps as the clients saw them, and a guess at the front.

    What a lone request waits beyond the step of its prompt, it waits in front of the engine.
    """
    alone = min(seen, key=lambda each: each[0].concurrency)[1]
    widest = max(seen, key=lambda each: each[0].concurrency)
    slope = widest[1].itl_s / widest[0].concurrency
    prompt = median(each.prompt_tokens for each in alone.requests)
    guess = tuple(
        math.log(max(price, _LEAST_S))
        for price in (alone.itl_s, alone.ttft_s / 2 / prompt, slope / 2, slope / 1000)
    )
    steps = [step for _, measured, _ in seen for step in measured.steps]
    steps = steps[:: 1 + len(steps) // _ENOUGH_STEPS]

    def off(where: Sequence[float]) -> float:
        constant, prefill, decode, context = map(math.exp, where)
        return math.fsum(
            abs(
                math.log(
                    (
                        constant
                        + prefill * step.prefill_tokens
                        + decode * step.decodes
                        + context * step.context
                    )
                    / max(step.seconds, _LEAST_S)
                )
            )
            for step in steps
        )

    best = _Point(math.inf, guess)
    for _ in range(_BEGINNINGS):
        best = _simplex(off, best, _STEP_ROUNDS)
    constant, prefill, decode, _ = map(math.exp, best.where)
    front = max(alone.ttft_s - constant - prefill * prompt, constant)
    return (*best.where, *map(math.log, (front / 4, front * 3 / 4, decode / 3)))


def _simplex(cost: Callable[[Sequence[float]], float], begin: _Point, rounds: int) -> _Point:
    """Nelder and Mead 1965, with the usual coefficients 1, 2, 1/2 and 1/2."""
    start = begin.where
    size = len(start)

    def at(where: Sequence[float]) -> _Point:
        return _Point(cost(where), tuple(where))

    points = [at(start)]
    points += [
        at([value + (0.5 if k == axis else 0.0) for k, value in enumerate(start)])
        for axis in range(size)
    ]
    for _ in range(rounds):
        points.sort(key=lambda point: point.cost)
        if points[-1].cost - points[0].cost < _SETTLED:
            break
        worst, rest = points[-1], points[:-1]
        centre = [sum(point.where[k] for point in rest) / size for k in range(size)]

        def towards(scale: float, worst: _Point = worst, centre: list[float] = centre) -> _Point:
            return at([c + scale * (c - w) for c, w in zip(centre, worst.where, strict=True)])

        tried = towards(1.0)
        if tried.cost < points[0].cost:
            further = towards(2.0)
            points[-1] = min(tried, further, key=lambda point: point.cost)
        elif tried.cost < points[-2].cost:
            points[-1] = tried
        else:
            inside = towards(0.5 if tried.cost < worst.cost else -0.5)
            if inside.cost < min(tried.cost, worst.cost):
                points[-1] = inside
            else:
                first = points[0]
                points[1:] = [
                    at([(f + p) / 2 for f, p in zip(first.where, point.where, strict=True)])
                    for point in points[1:]
                ]
    return min(points, key=lambda point: point.cost)
