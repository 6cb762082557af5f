"""The source of truth: the three source files, read, checked and held together."""

from __future__ import annotations

from harness.registry.finding import Finding, Place, RegistryError, Severity
from harness.registry.load import check, examine, load
from harness.registry.registry import Registry
from harness.registry.rule import RULES, Rule

__all__ = [
    "RULES",
    "Finding",
    "Place",
    "Registry",
    "RegistryError",
    "Rule",
    "Severity",
    "check",
    "examine",
    "load",
]
