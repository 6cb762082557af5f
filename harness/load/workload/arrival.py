"""When requests arrive: one seeded schedule for the whole run, however many processes play it.

Times are seconds from the start. A schedule is a pure function of its stages and its seed; each
process makes the whole of it and takes its part, so that the parts together are the schedule and
nothing else. Seeding each process apart, or alike, gives another process than the one asked for.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Stage:
    """``seconds`` in which a level goes in a straight line from ``begin`` to ``end``.

    The level is requests a second in an open loop, and users in a closed one.

    Raises:
        ValueError: a duration that is not positive, or a level below 0, or either not finite.
    """

    seconds: float
    begin: float
    end: float

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and math.isfinite(self.seconds)):
            raise ValueError(f"a stage of {self.seconds} seconds: give more than 0")
        for level in (self.begin, self.end):
            if not (level >= 0 and math.isfinite(level)):
                raise ValueError(f"a level of {level}: give 0 or more")

    @property
    def area(self) -> float:
        """The requests expected in it."""
        return self.seconds * (self.begin + self.end) / 2

    def moment(self, area: float) -> float:
        """The moment in it by which ``area`` requests are expected: the inverse of the integral.

        Raises:
            ValueError: that many are not expected in it.
        """
        if not 0 <= area <= self.area:
            raise ValueError(f"{area:g} requests in a stage that expects {self.area:g}")
        slope = (self.end - self.begin) / self.seconds
        root = math.sqrt(max(0.0, self.begin**2 + 2 * slope * area))
        # The form of the root that loses no digits where the slope is small.
        return min(self.seconds, 2 * area / (self.begin + root)) if area else 0.0


def steady(level: float, seconds: float) -> tuple[Stage, ...]:
    """One level throughout; over hours it is a soak."""
    return (Stage(seconds, level, level),)


def ramp(begin: float, end: float, seconds: float, *, hold_s: float = 0.0) -> tuple[Stage, ...]:
    """From one level to another in a straight line, and then ``hold_s`` at the last."""
    return (Stage(seconds, begin, end), *(steady(end, hold_s) if hold_s else ()))


def staircase(levels: Sequence[float], hold_s: float) -> tuple[Stage, ...]:
    """Each of ``levels`` in turn, for ``hold_s``."""
    return tuple(Stage(hold_s, level, level) for level in levels)


def bursts(
    base: float, peak: float, *, every_s: float, lasting_s: float, times: int
) -> tuple[Stage, ...]:
    """``times`` over: a rest at ``base``, then ``lasting_s`` at ``peak``; ``every_s`` together.

    Raises:
        ValueError: a burst that leaves no rest.
    """
    if not 0 < lasting_s < every_s:
        raise ValueError(f"bursts of {lasting_s:g} s every {every_s:g} s leave no rest between")
    return (Stage(every_s - lasting_s, base, base), Stage(lasting_s, peak, peak)) * times


def level_at(stages: Sequence[Stage], at_s: float) -> float | None:
    """The level at that moment, None before the start and after the end.

    The number of users of a closed loop; where two stages meet the later one counts.
    """
    if at_s < 0:
        return None
    for stage in stages:
        if at_s < stage.seconds:
            return stage.begin + (stage.end - stage.begin) * at_s / stage.seconds
        at_s -= stage.seconds
    return None


def staggered(users: int, over_s: float, *, seed: int) -> tuple[float, ...]:
    """When each user of a closed loop starts: at random within ``over_s``, in order.

    Users that start together and get answers of one length go on in lock-step, as one burst.
    """
    source = random.Random(f"{seed}/stagger")  # noqa: S311 - a schedule, no cryptography
    return tuple(sorted(source.uniform(0.0, over_s) for _ in range(users)))


def constant(stages: Sequence[Stage]) -> Iterator[float]:
    """Arrivals as even as the rates allow: the k-th when k requests are due, from 0 on."""
    return _moments(stages, _naturals())


def poisson(stages: Sequence[Stage], *, seed: int, burstiness: float = 1.0) -> Iterator[float]:
    """Independent arrivals: a Poisson process with the rate of ``stages``.

    Unit-rate arrivals are carried through the inverse of the integrated rate, which is exact
    for rates that change (Cinlar, Introduction to Stochastic Processes, 1975, 4.7).
    ``burstiness`` is the squared coefficient of variation of the gaps (at a constant rate, gamma
    distributed): 1 is Poisson, above 1 arrivals cluster, below 1 they keep apart.

    Raises:
        ValueError: ``burstiness`` is not positive.
    """
    if not (burstiness > 0 and math.isfinite(burstiness)):
        raise ValueError(f"burstiness is {burstiness}: give more than 0; 1 is Poisson")
    return _moments(stages, _sums(seed, burstiness))


def part(schedule: Iterable[float], *, index: int, of: int) -> Iterator[tuple[int, float]]:
    """What process ``index`` of ``of`` plays: every ``of``-th arrival, with its number.

    The parts are disjoint and together the schedule, whatever ``of`` is. What request number k
    asks for should depend on k and the seed alone: then it does not depend on ``of`` either.

    Raises:
        ValueError: there is no such process.
    """
    if not 0 <= index < of:
        raise ValueError(f"process {index} of {of}: number them from 0 to {of - 1}")
    return islice(enumerate(schedule), index, None, of)


def _naturals() -> Iterator[float]:
    number = 0
    while True:
        yield float(number)
        number += 1


def _sums(seed: int, burstiness: float) -> Iterator[float]:
    source = random.Random(f"{seed}/arrivals")  # noqa: S311 - a schedule, no cryptography
    total = 0.0
    while True:
        if burstiness == 1.0:
            total += source.expovariate(1.0)
        else:
            total += source.gammavariate(1 / burstiness, burstiness)
        yield total


def _moments(stages: Sequence[Stage], areas: Iterator[float]) -> Iterator[float]:
    area, begun_s, passed = next(areas), 0.0, 0.0
    for stage in stages:
        while area - passed < stage.area:
            yield begun_s + stage.moment(max(0.0, area - passed))
            area = next(areas)
        passed += stage.area
        begun_s += stage.seconds
