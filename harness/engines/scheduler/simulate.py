"""Virtual time: requests in, what each of them met out. No socket, no sleep, no random number."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from harness.engines.scheduler.sequence import Sequence
from harness.engines.scheduler.stepper import Stepper
from harness.engines.scheduler.steptime import Fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.engines.scheduler.config import SchedulerConfig
    from harness.engines.scheduler.steptime import StepTime

Balancing = Literal["least-busy", "round-robin"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request: when it comes, its tokens, and the answer's. ``keys`` as for `Sequence`."""

    at_s: float
    prompt: int
    length: int
    keys: tuple[int, ...] = ()
    priority: int = 0


@dataclass(slots=True)
class Outcome:
    """What a request met. Times are seconds; differences of ``*_at_s`` on the arrivals' line."""

    arrival: Arrival
    replica: int
    first_at_s: float
    last_at_s: float
    tokens: int
    preemptions: int
    cached_tokens: int
    longest_gap_s: float
    """The longest wait between two of its tokens."""

    @property
    def ttft_s(self) -> float:
        """Time to first token."""
        return self.first_at_s - self.arrival.at_s

    @property
    def e2e_s(self) -> float:
        """Time to the last token."""
        return self.last_at_s - self.arrival.at_s

    @property
    def itl_s(self) -> float:
        """Mean time between its tokens (TPOT); 0 for an answer of one token."""
        return (self.last_at_s - self.first_at_s) / (self.tokens - 1) if self.tokens > 1 else 0.0


@dataclass(slots=True)
class Simulation:
    """All outcomes in the order in which they ended, and what the engines went through."""

    outcomes: list[Outcome] = field(default_factory=list)
    taken: int = 0
    """Requests that were queued."""
    steps: int = 0
    busy_s: float = 0.0
    """Computing time over all replicas."""
    preemptions: int = 0
    prefix_queries: int = 0
    prefix_hits: int = 0
    waiting_s: float = 0.0
    """The sum over all replicas of `Gauges.waiting` by time: over the time, it is what somebody
    reads who looks at vLLM's gauge all the time."""
    most_waiting: int = 0
    """Most requests that waited at one replica when another arrived."""
    most_kv_usage: float = 0.0
    ended_at_s: float = 0.0


class _Job(Sequence):
    __slots__ = ("arrival", "first_at_s", "last_at_s", "longest_gap_s")

    def __init__(self, arrival: Arrival) -> None:
        super().__init__(
            arrival.prompt, arrival.length, keys=arrival.keys, priority=arrival.priority
        )
        self.arrival = arrival
        self.first_at_s = self.last_at_s = -1.0
        self.longest_gap_s = 0.0


@dataclass(frozen=True, slots=True)
class Front:
    """The server in front of an engine: one thread, which takes what comes in its order.

    A request costs it ``request_s``, and reaches the engine ``delay_s`` later; a token costs it
    ``token_s`` before the client has it. vLLM's API server is one such process; with a small
    model it, and not the engine, is what limits throughput.
    """

    request_s: float = 0.0
    delay_s: float = 0.0
    token_s: float = 0.0

    @classmethod
    def of(cls, step_time: StepTime) -> Front:
        """The one that was fitted together with ``step_time``, or one that costs nothing."""
        if isinstance(step_time, Fitted):
            return cls(step_time.front_s, step_time.front_delay_s, step_time.front_token_s)
        return cls()


def simulate(
    arrivals: Iterable[Arrival],
    config: SchedulerConfig,
    step_time: StepTime,
    *,
    replicas: int = 1,
    balancing: Balancing = "least-busy",
    front_s: float | None = None,
    after: Callable[[Outcome], Arrival | None] | None = None,
) -> Simulation:
    """Play ``arrivals`` against ``replicas`` equal engines until all are answered.

    A request goes to the replica with the fewest unfinished ones, or to each in turn. The server
    in front of each takes its time as fitted together with ``step_time``; ``front_s`` says
    otherwise for requests. ``after`` is called with every outcome and may give the request that
    follows from it, never before the outcome's end: so closed loops are made.

    Raises SchedulerError: a request that can never be served.
    """
    front = Front.of(step_time)
    if front_s is not None:
        front = replace(front, request_s=front_s)
    return _Fleet(config, step_time, front, replicas, balancing, after).play(arrivals)


class _Fleet:
    def __init__(
        self,
        config: SchedulerConfig,
        step_time: StepTime,
        front: Front,
        replicas: int,
        balancing: Balancing,
        after: Callable[[Outcome], Arrival | None] | None,
    ) -> None:
        self._steppers = [Stepper(config, step_time) for _ in range(replicas)]
        self._front = front
        self._front_free_s = [-math.inf] * replicas
        self._unfinished = [0] * replicas
        self._balancing, self._after = balancing, after
        self._ends: list[tuple[float, int]] = []
        """When each replica that computes ends its step."""
        self._coming: list[tuple[float, int, Arrival]] = []
        self._passed: list[tuple[float, int, int, Arrival]] = []
        """Requests on their way from the front to the engine of a replica."""
        self._told_s = [0.0] * replicas
        """When each replica last set its gauges."""
        self._came = 0
        self._simulation = Simulation()

    def play(self, arrivals: Iterable[Arrival]) -> Simulation:
        for arrival in arrivals:
            self._expect(arrival)
        coming, passed, ends = self._coming, self._passed, self._ends
        never = math.inf
        while coming or passed or ends:
            comes_s = coming[0][0] if coming else never
            passes_s = passed[0][0] if passed else never
            ends_s = ends[0][0] if ends else never
            if comes_s <= passes_s and comes_s <= ends_s:
                _, came, arrival = heapq.heappop(coming)
                self._receive(came, arrival)
            elif passes_s <= ends_s:
                at_s, _, number, arrival = heapq.heappop(passed)
                self._queue_up(number, at_s, arrival)
            else:
                self._end_step(heapq.heappop(ends)[1])
        return self._sum()

    def _expect(self, arrival: Arrival) -> None:
        self._came += 1
        heapq.heappush(self._coming, (arrival.at_s, self._came, arrival))

    def _receive(self, came: int, arrival: Arrival) -> None:
        if self._balancing == "round-robin":
            number = self._simulation.taken % len(self._steppers)
        else:
            number = self._unfinished.index(min(self._unfinished))
        self._simulation.taken += 1
        self._unfinished[number] += 1
        at_s = max(arrival.at_s, self._front_free_s[number]) + self._front.request_s
        self._front_free_s[number] = at_s
        heapq.heappush(self._passed, (at_s + self._front.delay_s, came, number, arrival))

    def _queue_up(self, number: int, at_s: float, arrival: Arrival) -> None:
        stepper = self._steppers[number]
        stepper.add(_Job(arrival))
        self._simulation.most_waiting = max(self._simulation.most_waiting, stepper.waiting)
        if stepper.end_s is None:
            self._begin(number, at_s)

    def _begin(self, number: int, at_s: float) -> None:
        stepper = self._steppers[number]
        stepper.begin(at_s)
        if stepper.end_s is not None:
            heapq.heappush(self._ends, (stepper.end_s, number))

    def _end_step(self, number: int) -> None:
        stepper = self._steppers[number]
        usage = stepper.scheduler.kv_usage
        self._simulation.most_kv_usage = max(self._simulation.most_kv_usage, usage)
        told = stepper.gauges.waiting
        end_s, plan = stepper.end()
        if told:
            self._simulation.waiting_s += told * (end_s - self._told_s[number])
        self._told_s[number] = end_s
        token_s = self._front.token_s
        at_s = max(end_s, self._front_free_s[number]) if token_s else end_s
        for sequence in plan.sampled:
            job: _Job = sequence  # type: ignore[assignment]  # only jobs are added
            at_s += token_s
            gap_s = at_s - job.last_at_s
            if job.last_at_s < 0:
                job.first_at_s = at_s
            elif gap_s > job.longest_gap_s:
                job.longest_gap_s = gap_s
            job.last_at_s = at_s
        if token_s:
            self._front_free_s[number] = at_s
        for sequence in plan.last:
            self._note(number, sequence)  # type: ignore[arg-type]  # only jobs are added
        self._begin(number, end_s)

    def _note(self, number: int, job: _Job) -> None:
        self._unfinished[number] -= 1
        outcome = Outcome(
            arrival=job.arrival,
            replica=number,
            first_at_s=job.first_at_s,
            last_at_s=job.last_at_s,
            tokens=job.length,
            preemptions=job.preemptions,
            cached_tokens=job.cached,
            longest_gap_s=job.longest_gap_s,
        )
        self._simulation.outcomes.append(outcome)
        self._simulation.ended_at_s = max(self._simulation.ended_at_s, job.last_at_s)
        if self._after is not None:
            following = self._after(outcome)
            if following is not None:
                self._expect(following)

    def _sum(self) -> Simulation:
        simulation = self._simulation
        for stepper in self._steppers:
            counters = stepper.scheduler.counters
            simulation.steps += stepper.steps
            simulation.busy_s += stepper.busy_s
            simulation.preemptions += counters.preemptions
            simulation.prefix_queries += counters.prefix_queries
            simulation.prefix_hits += counters.prefix_hits
        return simulation
