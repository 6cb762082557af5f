"""What a claim makes one expect of a measurement, and whether it came."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from harness.evidence import Verdict
from harness.registry.models.base import Source, Text


class Expect(Source):
    """A bound on a measured value: one side, both, or a value with its tolerance."""

    unit: Text = Field(description="Of the value, such as x, ms, GiB, requests")
    equals: float | None = Field(default=None, description="The value as it was claimed")
    within: float = Field(default=0.0, ge=0, description="How far from `equals` is still equal")
    at_least: float | None = Field(default=None, description="The smallest value that holds")
    at_most: float | None = Field(default=None, description="The largest value that holds")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        sides = self.at_least is not None or self.at_most is not None
        if sides == (self.equals is not None):
            raise ValueError("needs either 'equals' or 'at_least' and 'at_most', one or both")
        if self.within and self.equals is None:
            raise ValueError("has 'within' without 'equals': write the bounds instead")
        low, high = self.bounds
        if low > high:
            raise ValueError(f"asks for at least {low:g} and at most {high:g}: nothing is both")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value that hold; an open side is infinite."""
        if self.equals is not None:
            return self.equals - self.within, self.equals + self.within
        low = float("-inf") if self.at_least is None else self.at_least
        return low, float("inf") if self.at_most is None else self.at_most

    @property
    def bound(self) -> float | None:
        """The one number of it, where there is one."""
        given = [each for each in (self.equals, self.at_least, self.at_most) if each is not None]
        return given[0] if len(given) == 1 else None

    def __str__(self) -> str:
        if self.equals is not None:
            slack = f" within {self.within:g}" if self.within else ""
            return f"{shown(self.equals)} {self.unit}{slack}"
        low, high = self.at_least, self.at_most
        if low is not None and high is not None:
            return f"{shown(low)} to {shown(high)} {self.unit}"
        side, bound = ("at least", low) if low is not None else ("at most", high)
        return f"{side} {shown(bound or 0.0)} {self.unit}"


_SLACK = 1e-9


def shown(value: float) -> str:
    """A figure as people read it: two decimals, and no more than there are."""
    return f"{value:,.2f}".removesuffix("0").removesuffix(".0")


def met(
    expect: Expect, value: float, interval: tuple[float, float] | None = None
) -> tuple[Verdict, str]:
    """Whether ``value`` is as expected; with an interval, whether all of it is.

    Pass and fail need the whole interval on one side; astride the bound is inconclusive, for the
    noise is then larger than what is claimed.
    """
    low, high = expect.bounds
    slack = _SLACK * max(1.0, abs(value))
    low, high = low - slack, high + slack
    least, most = interval or (value, value)
    if low <= least and most <= high:
        return Verdict.PASS, ""
    span = f" [{shown(least)}, {shown(most)}]" if interval else ""
    said = f"{shown(value)} {expect.unit}{span}, and {expect} was claimed"
    if most < low or least > high:
        return Verdict.FAIL, said
    return Verdict.INCONCLUSIVE, f"{said}: the interval lies on both sides of it"
