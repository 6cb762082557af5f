"""What a fleet of engines would do under a load, in virtual time: a day in seconds.

The schedule is that of the emulated engine, so a forecast is as good as its step-time model: an
estimate from data sheets for a preset, a measurement for a calibrated one.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from harness.engines.scheduler.simulate import Arrival, simulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.scheduler.config import SchedulerConfig
    from harness.engines.scheduler.simulate import Simulation
    from harness.engines.scheduler.steptime import StepTime

QUANTILES = (0.50, 0.95, 0.99)
_GROWTH = 1.8
"""Between the 1 of a steady queue and the 7/3 of one that only grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Independent callers (Poisson arrivals) whose prompts and answers vary in length.

    Lengths are log-normal with the given medians; ``spread`` is the standard deviation of their
    logarithm, 0 for equal lengths. ``limit`` is the model's context: a prompt and its answer fill
    it at most.
    """

    rate_per_s: float
    duration_s: float
    prompt_tokens: int
    answer_tokens: int
    spread: float = 0.5
    limit: int = 4096
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("rate_per_s", "duration_s", "prompt_tokens", "answer_tokens"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} is {value}: give a positive number")
        if not (self.spread >= 0 and math.isfinite(self.spread)):
            raise ValueError(f"spread is {self.spread}: give 0 or more")
        if self.prompt_tokens + self.answer_tokens > self.limit:
            raise ValueError(
                f"a prompt of {self.prompt_tokens} and an answer of {self.answer_tokens} tokens "
                f"do not fit into the {self.limit} tokens of the model"
            )

    def arrivals(self) -> Iterator[Arrival]:
        """The requests, in order of time; the same for the same seed."""
        source = random.Random(self.seed)  # noqa: S311 - a schedule, no cryptography
        at_s = source.expovariate(self.rate_per_s)
        while at_s < self.duration_s:
            prompt = min(self._length(source, self.prompt_tokens), self.limit - 1)
            answer = min(self._length(source, self.answer_tokens), self.limit - prompt)
            yield Arrival(at_s, prompt, answer)
            at_s += source.expovariate(self.rate_per_s)

    def _length(self, source: random.Random, median: int) -> int:
        return max(1, round(median * math.exp(source.gauss(0.0, self.spread))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the callers of one schedule met. Times are seconds.

    Requests that queue behind one another are not independent, so these figures carry no interval:
    forecast with several seeds and look how far they differ.
    """

    requests: int
    simulated_s: float
    """From the first arrival to the last token."""
    steps: int
    tokens_per_s: float
    """Generated tokens over all engines."""
    utilisation: float
    """Share of the time the engines computed."""
    preemptions: int
    most_waiting: int
    """Most requests that waited at one engine."""
    most_kv_usage: float
    """Largest share of an engine's KV cache that was in use."""
    quarters_s: tuple[float, ...]
    """Median time to first token of each quarter of the requests, in order of arrival."""
    ttft_s: dict[float, float]
    """Time to first token, by quantile."""
    itl_s: dict[float, float]
    """Mean time between the tokens of an answer (TPOT), by quantile."""
    e2e_s: dict[float, float]
    """Time to the last token, by quantile."""

    @property
    def keeps_up(self) -> bool:
        """Whether the fleet serves as fast as requests come.

        In one that does not, waiting grows with the time since the start: the last quarter waits
        7/3 as long as the second. Four requests or fewer cannot tell, and count as kept up; so do
        schedules that end while the engines still fill: 1.2 times what the rtx-5000 preset can do
        shows within five minutes, and not within one.
        """
        return self.quarters_s[3] <= _GROWTH * self.quarters_s[1] if self.quarters_s else True


def forecast(
    workload: Workload,
    scheduler: SchedulerConfig,
    step_time: StepTime,
    *,
    replicas: int = 1,
    front_s: float = 0.0,
) -> Forecast:
    """Play ``workload`` against ``replicas`` equal engines behind a least-busy balancer.

    Requests of a fleet that is overloaded wait longer and longer: look at `Forecast.keeps_up`
    before believing a quantile.

    Raises:
        ValueError: no request arrives in that time. SchedulerError: one can never be served.
    """
    played = simulate(workload.arrivals(), scheduler, step_time, replicas=replicas, front_s=front_s)
    if not played.outcomes:
        raise ValueError(
            f"no request arrives within {workload.duration_s:g} s at {workload.rate_per_s:g} a "
            "second: simulate longer"
        )
    return _summed(played, replicas)


def _summed(played: Simulation, replicas: int) -> Forecast:
    outcomes = sorted(played.outcomes, key=lambda outcome: outcome.arrival.at_s)
    lasted = played.ended_at_s - outcomes[0].arrival.at_s
    ttft_s = [outcome.ttft_s for outcome in outcomes]
    cut = [len(ttft_s) * quarter // 4 for quarter in range(5)]
    return Forecast(
        requests=len(outcomes),
        simulated_s=lasted,
        steps=played.steps,
        tokens_per_s=sum(outcome.tokens for outcome in outcomes) / lasted,
        utilisation=played.busy_s / (lasted * replicas),
        preemptions=played.preemptions,
        most_waiting=played.most_waiting,
        most_kv_usage=played.most_kv_usage,
        quarters_s=tuple(median(ttft_s[a:b]) for a, b in pairwise(cut)) if cut[1] else (),
        ttft_s=_quantiles(ttft_s),
        itl_s=_quantiles([outcome.itl_s for outcome in outcomes if outcome.tokens > 1]),
        e2e_s=_quantiles([outcome.e2e_s for outcome in outcomes]),
    )


def _quantiles(samples: list[float]) -> dict[float, float]:
    """The smallest sample that at least a share ``q`` of them does not exceed, for each q."""
    ordered = sorted(samples)
    return {q: ordered[math.ceil(q * len(ordered)) - 1] for q in QUANTILES} if ordered else {}
