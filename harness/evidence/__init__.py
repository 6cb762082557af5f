"""The record of what was found, and its store. Nothing else prints a verdict."""

from harness.evidence.judgement import UNCLAIMED, Cause, Counts, GateReport, Reason, Row
from harness.evidence.record import Behind, Evidence, Verdict
from harness.evidence.run import RUN_FILE, RunContext, read_run, write_run
from harness.evidence.store import (
    EVIDENCE_FILE,
    EvidenceError,
    Evidences,
    EvidenceStore,
    read,
)

__all__ = [
    "EVIDENCE_FILE",
    "RUN_FILE",
    "UNCLAIMED",
    "Behind",
    "Cause",
    "Counts",
    "Evidence",
    "EvidenceError",
    "EvidenceStore",
    "Evidences",
    "GateReport",
    "Reason",
    "Row",
    "RunContext",
    "Verdict",
    "read",
    "read_run",
    "write_run",
]
