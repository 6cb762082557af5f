"""What a comparison is worth: its false alarms and its power, replayed from what it measured.

A verdict says little without the rate at which the same procedure, on the same machine, is wrong.
The recorded runs tell: with the measured effect taken out they are runs of one setting, with all
their drift, steal and noise. Blocks drawn from them make another comparison of A with A; the same
with every B ten per cent larger makes one whose truth is known. Each is judged like the first.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass
from itertools import permutations
from statistics import fmean
from typing import TYPE_CHECKING

from harness.evidence import Verdict
from harness.statistics import BLOCK, compare, compare_apart, order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.statistics import Comparison

EFFECT = 0.10
"""The true effect whose discovery is measured, unless it is too small to be told."""
REPLAYS = 400
FALSE_ALARMS = 0.01
"""A comparison that alarms more often than this on equal settings proves nothing by an alarm."""
LEAST_WINDOWS = 6
OVERLOOKED = 0.10
"""One that calls more than this share of true effects harmless proves nothing by a pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """How a comparison answered when the truth was known, as shares of the replays."""

    replays: int
    false_alarms: float
    """Equal settings that failed."""
    equal_open: float
    """Equal settings that were left inconclusive."""
    found: float
    """True effects that failed."""
    overlooked: float
    """True effects that passed: the rest is inconclusive."""
    effect: float = EFFECT


def effect_for(minimum_effect: float, *, larger_is_worse: bool = True) -> float:
    """The true effect to replay where less than ``minimum_effect`` is to pass.

    It is `EFFECT`, or more: one below the minimum passes rightly, and says nothing.
    """
    least = 2 * minimum_effect
    if not larger_is_worse:  # so much more of A is less of B: 1 / (1 - m) - 1 is the minimum
        least = max(least, 1.5 * minimum_effect / (1 - minimum_effect))
    return max(EFFECT, least)


def blocks_of(figures: Sequence[float]) -> list[list[float]]:
    """The logarithms of each whole block, in order of time, with the measured effect taken out."""
    plan = order(max(1, len(figures) // BLOCK))
    logs = [math.log(figure) for figure in figures[: len(plan)]]
    effect = (
        fmean(value if arm == "B" else -value for value, arm in zip(logs, plan, strict=False)) * 2
    )
    equal = [value - effect * (arm == "B") for value, arm in zip(logs, plan, strict=False)]
    return [equal[begin : begin + BLOCK] for begin in range(0, len(equal), BLOCK)]


def worth(
    figures: Sequence[float],
    *,
    minimum_effect: float,
    confidence: float = 0.98,
    larger_is_worse: bool = True,
    family: int = 1,
    effect: float = EFFECT,
    replays: int = REPLAYS,
    seed: int = 1,
) -> Worth:
    """Replay a comparison of ``figures`` with equal settings and with a true ``effect``.

    Each replay draws as many whole blocks as there are, with replacement: the four runs of a
    block stay together and in their order, so what drifts within a block is kept.

    Raises:
        ValueError: as `harness.statistics.compare`, or no replays.
    """
    blocks = blocks_of(figures)
    source = random.Random(f"{seed}/replay")  # noqa: S311 - a resampling, no cryptography

    def draw() -> list[float]:
        return [value for _ in blocks for value in source.choice(blocks)]

    def judge(drawn: Sequence[float]) -> Comparison:
        return compare(
            drawn,
            minimum_effect=minimum_effect,
            confidence=confidence,
            larger_is_worse=larger_is_worse,
            family=family,
        )

    true = effect if larger_is_worse else -effect / (1 + effect)
    return judged((draw() for _ in range(replays)), judge, effect=true)


def worth_apart(
    sides: Iterable[Sequence[float]],
    *,
    minimum_effect: float,
    confidence: float = 0.98,
    larger_is_worse: bool = True,
    family: int = 1,
    effect: float = EFFECT,
) -> Worth | None:
    """Replay a comparison of records that were not made in turn: each side against itself.

    Any two stretches of one side, a third of it long and apart from each other, are of one
    setting; what differs between them is what the machine did. What differs between two records
    of one setting, as any two boots do, is in none of them: no replay can see it. None: a side is
    too short.
    """
    equal: Counter[Verdict] = Counter()
    worse: Counter[Verdict] = Counter()
    true = 1 + (effect if larger_is_worse else -effect / (1 + effect))
    for side in sides:
        long = len(side) // 3
        if long < LEAST_WINDOWS:
            return None
        for begin, after in permutations(range(len(side) - long + 1), 2):
            if abs(begin - after) < long:
                continue
            first, second = side[begin : begin + long], side[after : after + long]
            for counter, by in ((equal, 1.0), (worse, true)):
                found = compare_apart(
                    first,
                    [value * by for value in second],
                    minimum_effect=minimum_effect,
                    confidence=confidence,
                    larger_is_worse=larger_is_worse,
                    family=family,
                )
                counter[found.verdict] += 1
    return _worth(equal, worse, true - 1)


def judged(
    series: Iterable[Sequence[float]],
    judge: Callable[[Sequence[float]], Comparison],
    *,
    effect: float = EFFECT,
) -> Worth:
    """Judge series of logarithms of equal settings, as they are and with ``effect`` put into B.

    Each series is read as blocks in their `order`, whatever it was recorded as.

    Raises:
        ValueError: there is no series, or none can be judged.
    """
    equal: Counter[Verdict] = Counter()
    worse: Counter[Verdict] = Counter()
    for logs in series:
        plan = order(max(1, len(logs) // BLOCK))
        added = math.log1p(effect)
        equal[judge([math.exp(value) for value in logs]).verdict] += 1
        worse[
            judge(
                [
                    math.exp(value + added * (arm == "B"))
                    for value, arm in zip(logs, plan, strict=False)
                ]
            ).verdict
        ] += 1
    return _worth(equal, worse, effect)


def _worth(equal: Counter[Verdict], worse: Counter[Verdict], effect: float) -> Worth:
    n = equal.total()
    if not n:
        raise ValueError("no replay: give at least 1")
    return Worth(
        replays=n,
        false_alarms=equal[Verdict.FAIL] / n,
        equal_open=equal[Verdict.INCONCLUSIVE] / n,
        found=worse[Verdict.FAIL] / n,
        overlooked=worse[Verdict.PASS] / n,
        effect=effect,
    )
