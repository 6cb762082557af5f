"""One judged fact, and the four things that can be said of it."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Behind = Literal["emulated", "real", "remote", "mixed", "none"]
"""What stood behind the gateway; mixed: several kinds at once."""


class Verdict(StrEnum):
    """What a judge says. Noise is ``inconclusive``, silence is ``not-run``."""

    PASS = "pass"  # noqa: S105  a verdict, no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not-run"


class Evidence(BaseModel):
    """One judged fact: what was asked, of what subject, and what was measured.

    A record never changes once written. ``value`` carries ``unit`` and, where it
    was sampled, ``n`` (samples) and ``interval`` (95 % confidence bounds, same unit;
    an end may be infinite: few samples bound a high quantile on one side only).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    check: str = Field(description="Dotted id of the check, e.g. contract.stream.done.last")
    subject: str = Field(description="What it was asked of, e.g. vllm or gateway:qwen-coder-vllm")
    asked: str = Field(description="The expectation as one sentence")
    verdict: Verdict
    reason: str = Field(default="", description="Why this verdict; never empty unless pass")
    value: float | int | str | None = None
    unit: str | None = None
    n: int | None = Field(default=None, ge=0)
    interval: tuple[float, float] | None = None
    bound: float | None = Field(default=None, description="The limit asked for, in `unit`")
    engine: Behind = Field(
        default="none", description="What stood behind the gateway; none if no traffic was needed"
    )
    deviation: str | None = Field(
        default=None, description="Id of the recorded deviation that explains a fail"
    )
    recordings: tuple[str, ...] = Field(default=(), description="Ids of the exchanges it rests on")
    replay: str = Field(default="", description="The one command that asks this again")
    seed: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    config_hash: str = ""
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
