"""Sentences somebody wrote, made testable: what each can mean, and what evidence says of it."""

from harness.claims.claim import Claim, ClaimError, Claims, Reading, load_claims
from harness.claims.expect import Expect
from harness.claims.judge import Fact, JudgedClaim, JudgedReading, Status, judge, judge_all

__all__ = [
    "Claim",
    "ClaimError",
    "Claims",
    "Expect",
    "Fact",
    "JudgedClaim",
    "JudgedReading",
    "Reading",
    "Status",
    "judge",
    "judge_all",
    "load_claims",
]
