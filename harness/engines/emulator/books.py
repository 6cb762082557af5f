"""What a server counts about its requests, for its ``/metrics``. Times are seconds."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass


class Histogram:
    """Observations in buckets with upper bounds, as Prometheus keeps them."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Of each bucket by itself; the last has no bound."""
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count ``value``; a value on a bound belongs to the bucket below it."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    @property
    def count(self) -> int:
        """Observations in all."""
        return sum(self.counts)


# The families of vllm/v1/metrics/buckets.py, 0.32.
LATENCY_S = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
FIRST_TOKEN_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5),
    *(10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
NEXT_TOKEN_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5),
    *(10.0, 20.0, 40.0, 80.0),
)


@dataclass(slots=True)
class Served:
    """An answer that has ended, on one time line of seconds."""

    prompt_tokens: int
    tokens: int
    finish: str
    """``stop``, ``length`` or ``abort``."""
    arrived_s: float
    scheduled_s: float
    first_s: float | None
    """None: it had no token."""
    last_s: float
    preemptions: int = 0
    cached_tokens: int = 0
    max_tokens: int | None = None
    choices: int = 1
    counted: bool = False
    """Its tokens were counted as they came: see `Books.token`."""


def token_bounds(longest: int) -> tuple[float, ...]:
    """1, 2, 5, 10, ... up to ``longest``: vLLM's buckets for counts of tokens."""
    bounds: list[float] = []
    scale = 1
    while True:
        for mantissa in (1, 2, 5):
            if mantissa * scale > longest:
                return tuple(bounds)
            bounds.append(mantissa * scale)
        scale *= 10


class Books:
    """Sums over all answers that have ended, and over the tokens of all."""

    def __init__(self, longest: int) -> None:
        counts = token_bounds(longest)
        self.prompt_tokens = self.generation_tokens = self.cached_tokens = 0
        self.finished: dict[str, int] = {}
        """Answers by the reason they ended."""
        self.ttft = Histogram(FIRST_TOKEN_S)
        self.itl = Histogram(NEXT_TOKEN_S)
        self.tpot = Histogram(NEXT_TOKEN_S)
        self.e2e = Histogram(LATENCY_S)
        self.queue = Histogram(LATENCY_S)
        self.prefill = Histogram(LATENCY_S)
        self.decode = Histogram(LATENCY_S)
        self.inference = Histogram(LATENCY_S)
        self.prompts = Histogram(counts)
        self.computed_prompts = Histogram(counts)
        self.answers = Histogram(counts)
        self.limits = Histogram(counts)
        self.choices = Histogram((1, 2, 5, 10, 20))
        self.preempted = Histogram((1, 2, 3, 4, 5, 10, 20))
        self.step_tokens = Histogram(
            (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
        )

    def token(self) -> None:
        """Count one token of an answer that goes on, as vLLM does after each step."""
        self.generation_tokens += 1

    def prompt(self, tokens: int, *, cached: int) -> None:
        """Count a prompt that has brought its first token."""
        self.prompt_tokens += tokens
        self.cached_tokens += cached

    def enter(self, served: Served) -> None:
        """Count an answer that has ended; of an aborted one only what it had."""
        self.finished[served.finish] = self.finished.get(served.finish, 0) + 1
        if served.first_s is None:
            return
        if not served.counted:
            self.prompt_tokens += served.prompt_tokens
            self.cached_tokens += served.cached_tokens
            self.generation_tokens += served.tokens
        self.ttft.observe(served.first_s - served.arrived_s)
        if served.finish == "abort":
            return
        self.queue.observe(served.scheduled_s - served.arrived_s)
        self.prefill.observe(served.first_s - served.scheduled_s)
        self.decode.observe(served.last_s - served.first_s)
        self.inference.observe(served.last_s - served.scheduled_s)
        self.e2e.observe(served.last_s - served.arrived_s)
        self.prompts.observe(served.prompt_tokens)
        self.computed_prompts.observe(served.prompt_tokens - served.cached_tokens)
        self.answers.observe(served.tokens)
        self.preempted.observe(served.preemptions)
        self.choices.observe(served.choices)
        if served.max_tokens is not None:
            self.limits.observe(served.max_tokens)
        inner = served.tokens - 1
        self.tpot.observe((served.last_s - served.first_s) / inner if inner else 0.0)
