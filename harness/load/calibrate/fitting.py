"""Prices of a step that explain what an engine answered, found by playing its loads again.

Throughput and waiting do not follow from a step's length by a formula: the simulation is the
formula, and the prices are searched for that make it meet the measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import linear_regression, median
from typing import TYPE_CHECKING

from harness.engines.scheduler.simulate import Arrival, simulate
from harness.engines.scheduler.steptime import Fitted
from harness.load.calibrate.measuring import Measured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.engines.scheduler import SchedulerConfig
    from harness.engines.scheduler.simulate import Outcome
    from harness.load.calibrate.loads import Load

Prices = Fitted
FIGURES = ("throughput", "ttft_s", "itl_s", "e2e_s")
"""What the search compares; each counts as much as another, in ratios."""
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


@dataclass(frozen=True, slots=True)
class _Point:
    cost: float
    where: tuple[float, ...]


def predict(config: SchedulerConfig, prices: Prices, load: Load, measured: Measured) -> Measured:
    """What ``load`` would have met, with prompts and answers as they turned out."""
    requests = measured.requests
    sent = min(load.concurrency, len(requests))
    following = iter(requests[sent:])

    def again(outcome: Outcome) -> Arrival | None:
        each = next(following, None)
        if each is None:
            return None
        return Arrival(outcome.last_at_s, each.prompt_tokens, each.answer_tokens)

    first = [Arrival(0.0, each.prompt_tokens, each.answer_tokens) for each in requests[:sent]]
    run = simulate(first, config, prices, after=again)
    return Measured(
        requests=requests,
        throughput=sum(each.tokens for each in run.outcomes) / run.ended_at_s,
        ttft_s=median(each.ttft_s for each in run.outcomes),
        itl_s=median(each.itl_s for each in run.outcomes),
        e2e_s=median(each.e2e_s for each in run.outcomes),
        waiting=run.waiting_s / run.ended_at_s,
        preemptions=run.preemptions,
    )


def fit(
    config: SchedulerConfig,
    seen: Sequence[tuple[Load, Measured, Mapping[str, float]]],
    *,
    rounds: int = 120,
) -> Prices:
    """The prices that bring the simulation nearest to what was measured.

    ``seen`` holds each load, what it met, and by figure how far its repetitions lay apart. The sum
    over `FIGURES` of the squared log ratios, each divided by its spread, is minimised by Nelder
    and Mead's simplex over the logarithms of the prices, from a start that a regression of the
    gaps on the concurrency gives, and begun anew some times lest it collapse. Deterministic.
    """

    def cost(where: Sequence[float]) -> float:
        prices = _prices(where)
        total = 0.0
        for load, measured, spread in seen:
            expected = predict(config, prices, load, measured)
            for figure in FIGURES:
                ratio = max(getattr(expected, figure), _LEAST_S) / max(
                    getattr(measured, figure), _LEAST_S
                )
                total += (math.log(ratio) / max(spread.get(figure, 0.0), _LEAST_SPREAD)) ** 2
        return total

    best = _start([(load, measured) for load, measured, _ in seen])
    for _ in range(_BEGINNINGS):
        best = _simplex(cost, best, rounds)
    return _prices(best)


def _prices(where: Sequence[float]) -> Prices:
    return replace(
        Fitted(constant_s=0.0),
        **{name: math.exp(value) for name, value in zip(_NAMES, where, strict=True)},
    )


def _start(seen: Sequence[tuple[Load, Measured]]) -> tuple[float, ...]:
    gaps = [measured.itl_s for _, measured in seen]
    widths = [float(load.concurrency) for load, _ in seen]
    slope, base = max(gaps) / max(widths), min(gaps)
    if len(set(widths)) > 1:
        slope, base = linear_regression(widths, gaps)
    alone = min(seen, key=lambda each: each[0].concurrency)[1]
    base = max(base, min(gaps) / 2)
    prompt = median(each.prompt_tokens for each in alone.requests)
    guessed = {
        "constant_s": base,
        "prefill_token_s": max(alone.ttft_s - 2 * base, base) / 2 / prompt,
        "decode_s": max(slope, base / 1000) / 2,
        "context_token_s": base / 1e5,
        "front_s": max(alone.ttft_s - 2 * base, base) / 4,
        "front_delay_s": max(alone.ttft_s - 2 * base, base) / 4,
        "front_token_s": max(slope, base / 1000) / 2,
    }
    return tuple(math.log(max(guessed[name], _LEAST_S)) for name in _NAMES)


def _simplex(
    cost: Callable[[Sequence[float]], float], start: tuple[float, ...], rounds: int
) -> tuple[float, ...]:
    """Nelder and Mead 1965, with the usual coefficients 1, 2, 1/2 and 1/2."""
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
    return min(points, key=lambda point: point.cost).where
