"""Which deployment should answer a name, and why. No gateway, no HTTP."""

from harness.routing.narrow import narrow
from harness.routing.resolve import listed, resident, resolve
from harness.routing.route import Deployment, PassedOver, Refusal, Route, Rule, Tier

__all__ = [
    "Deployment",
    "PassedOver",
    "Refusal",
    "Route",
    "Rule",
    "Tier",
    "listed",
    "narrow",
    "resident",
    "resolve",
]
