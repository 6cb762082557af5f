"""The record of what was found, and its store. Nothing else prints a verdict."""

from harness.evidence.record import Evidence, Verdict

__all__ = ["Evidence", "Verdict"]
