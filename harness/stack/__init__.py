"""A running whole: engines, gateway and recording client, started and stopped together."""

from harness.stack.fleet import TIERS, Tier, in_words, kinds_of, one_kind, require
from harness.stack.stack import Stack, new_secrets

__all__ = [
    "TIERS",
    "Stack",
    "Tier",
    "in_words",
    "kinds_of",
    "new_secrets",
    "one_kind",
    "require",
]
