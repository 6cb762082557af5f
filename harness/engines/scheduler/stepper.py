"""A scheduler and a step time, stepped by whoever owns the clock: a simulation or an event loop."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from harness.engines.scheduler.scheduler import Scheduler

if TYPE_CHECKING:
    from harness.engines.scheduler.config import SchedulerConfig
    from harness.engines.scheduler.plan import StepPlan
    from harness.engines.scheduler.steptime import StepTime


class Stepper:
    """Steps on a time line of seconds, whatever they are counted from.

    One step is computed at a time. With ``async_scheduling`` the next is planned as soon as one
    begins, so who arrives meanwhile is admitted one step later: vLLM's ``step_with_batch_queue``
    (vllm/v1/engine/core.py, 0.32).
    """

    __slots__ = ("_depth", "_flying", "busy_s", "scheduler", "step_time", "steps", "waiting")

    def __init__(self, config: SchedulerConfig, step_time: StepTime) -> None:
        self.scheduler = Scheduler(config)
        self.step_time = step_time
        self._flying: deque[tuple[float, StepPlan]] = deque()
        self._depth = 2 if config.async_scheduling else 1
        self.steps = 0
        self.busy_s = 0.0
        """Time computed so far, that of steps in flight included."""
        self.waiting = 0
        """Sequences that found no place in the last step that was planned.

        It is what vLLM's gauge tells: who arrives amid a step is not looked at before it ends.
        """

    @property
    def end_s(self) -> float | None:
        """When the step that is computed ends; None: nothing is computed."""
        return self._flying[0][0] if self._flying else None

    def begin(self, now_s: float) -> StepPlan | None:
        """Plan as many steps as may be in flight, the first to begin now if none is computed.

        Returns the last that was planned.
        """
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
        self.waiting = self.scheduler.waiting
        return made

    def end(self) -> tuple[float, StepPlan]:
        """End the step that is computed: its time, and what came of it. Then `begin` again."""
        end_s, plan = self._flying.popleft()
        self.scheduler.complete(plan)
        return end_s, plan
