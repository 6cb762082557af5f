"""A scheduler and a step time, stepped by whoever owns the clock: a simulation or an event loop."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from harness.engines.scheduler.counters import Gauges
from harness.engines.scheduler.scheduler import Scheduler

if TYPE_CHECKING:
    from harness.engines.scheduler.config import SchedulerConfig
    from harness.engines.scheduler.plan import StepPlan
    from harness.engines.scheduler.sequence import Sequence
    from harness.engines.scheduler.steptime import StepTime


class Stepper:
    """Steps on a time line of seconds, whatever they are counted from.

    One step is computed at a time, and who comes meanwhile is looked at when it has ended. With
    ``async_scheduling`` the next is planned as soon as one begins, so who arrives meanwhile is
    admitted one step later: vLLM's ``run_busy_loop``, ``step`` and ``step_with_batch_queue``
    (vllm/v1/engine/core.py, 0.32).
    """

    __slots__ = (
        "_arrived",
        "_depth",
        "_flying",
        "_left",
        "busy_s",
        "gauges",
        "scheduler",
        "step_time",
        "steps",
    )

    def __init__(self, config: SchedulerConfig, step_time: StepTime) -> None:
        self.scheduler = Scheduler(config)
        self.step_time = step_time
        self._flying: deque[tuple[float, StepPlan]] = deque()
        self._depth = 2 if config.async_scheduling else 1
        self._arrived: list[Sequence] = []
        """Those the scheduler has not been told of yet."""
        self._left = False
        """Somebody has gone since a step was planned: vLLM makes one more to clear up after it,
        if only an empty one (``has_finished_requests``)."""
        self.gauges = Gauges()
        self.steps = 0
        self.busy_s = 0.0
        """Time computed so far, that of steps in flight included."""

    @property
    def end_s(self) -> float | None:
        """When the step that is computed ends; None: nothing is computed."""
        return self._flying[0][0] if self._flying else None

    @property
    def waiting(self) -> int:
        """Sequences without a place now, the preempted and those that just came included."""
        return self.scheduler.waiting + len(self._arrived)

    def add(self, sequence: Sequence) -> None:
        """Let ``sequence`` be looked at by the next `begin`, which may raise SchedulerError."""
        self._arrived.append(sequence)

    def abort(self, sequence: Sequence) -> None:
        """Forget ``sequence``, wherever it is, and free its blocks at once, also amid a step."""
        if sequence in self._arrived:
            self._arrived.remove(sequence)
        elif sequence.number and not sequence.finished:
            self.scheduler.abort(sequence)
            self._left = True
        sequence.finished = True

    def begin(self, now_s: float) -> StepPlan | None:
        """Plan as many steps as may be in flight, the first to begin now if none is computed.

        Returns the last that was planned.
        """
        if self._arrived:
            for sequence in self._arrived:
                self.scheduler.add(sequence)
            self._arrived.clear()
        flying = self._flying
        made: StepPlan | None = None
        while len(flying) < self._depth:
            plan = self.scheduler.step()
            if not plan.sequences:
                break
            made = plan
            took = self.step_time.seconds(plan)
            self.busy_s += took
            self.steps += 1
            flying.append(((flying[-1][0] if flying else now_s) + took, plan))
        if not flying and self._left:
            self._tell()
        self._left = False
        return made

    def end(self) -> tuple[float, StepPlan]:
        """End the step that is computed: its time, and what came of it. Then `begin` again."""
        end_s, plan = self._flying.popleft()
        self.scheduler.complete(plan)
        self._left = self._left or bool(plan.last)
        self._tell()
        return end_s, plan

    def _tell(self) -> None:
        scheduler, gauges = self.scheduler, self.gauges
        gauges.running = len(scheduler.running)
        gauges.waiting = scheduler.waiting
        gauges.kv_usage = scheduler.kv_usage
