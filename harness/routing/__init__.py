"""Which deployment should answer a name, and why. No gateway, no HTTP."""

from harness.routing.resolve import listed, resident, resolve
from harness.routing.route import Deployment, Refusal, Route, Rule, Tier

__all__ = ["Deployment", "Refusal", "Route", "Rule", "Tier", "listed", "resident", "resolve"]
