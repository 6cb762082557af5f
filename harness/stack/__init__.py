"""A running whole: engines, gateway and recording client, started and stopped together."""

from harness.stack.stack import Stack, new_secrets

__all__ = ["Stack", "new_secrets"]
