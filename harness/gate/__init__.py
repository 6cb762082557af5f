"""What blocks: a policy file, and the pure function that holds evidence against it."""

from harness.gate.draft import draft_policy
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
    "draft_policy",
    "judge",
    "limit",
    "load_policy",
]
