"""What blocks: a policy file, and the pure function that holds evidence against it."""

from harness.gate.judge import judge
from harness.gate.policy import (
    Gate,
    Limit,
    Policy,
    PolicyError,
    Requirement,
    limit,
    load_policy,
)

__all__ = [
    "Gate",
    "Limit",
    "Policy",
    "PolicyError",
    "Requirement",
    "judge",
    "limit",
    "load_policy",
]
