"""Continuous batching with a paged KV cache, as vLLM v1 does it: no clock, no socket, no thread.

`Scheduler` decides which tokens are computed in the next step; a model in `steptime` says how long
that step takes; `simulate` plays both in virtual time, and the emulated engine plays them behind
HTTP. Standard library only: the emulator's process imports it.
"""

from harness.engines.scheduler.config import Policy, SchedulerConfig, SchedulerError
from harness.engines.scheduler.plan import StepPlan
from harness.engines.scheduler.scheduler import Scheduler
from harness.engines.scheduler.sequence import Sequence, chain_keys

__all__ = [
    "Policy",
    "Scheduler",
    "SchedulerConfig",
    "SchedulerError",
    "Sequence",
    "StepPlan",
    "chain_keys",
]
