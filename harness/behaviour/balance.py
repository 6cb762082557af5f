"""Does a balanced group share requests as its weights say? Pearson's chi-square."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.evidence import Evidence, Verdict
from harness.statistics import chi_square_tail

if TYPE_CHECKING:
    from collections.abc import Mapping

FALSE_ALARM = 1e-5
"""Chance that a correct balancer is failed; at 3:1 over 160 requests an even split is
found in 99.3 % of runs (exact binomial sum)."""


EXPLAINED = {
    "route.balance": """A balanced group shares its requests by weight

Many equal requests are counted by who answered them, and the share of each member is compared with
its weight; chance alone must not explain the difference, nor too few requests hide one.

Remedy: check the weights in model-mappings.yaml and the routing strategy of the generated file.""",
}
"""What ``harness explain`` says of each check."""


def judge_balance(
    group: str,
    weights: Mapping[str, int],
    counts: Mapping[str, int],
    recordings: tuple[str, ...],
    *,
    strategy: str = "weighted",
) -> Evidence:
    """Compare how often each provider answered with its weight.

    ``counts`` are answers by provider; an answer from outside the group, or fewer
    than five expected answers in a cell (the usual rule for the test), is no basis:
    the first fails, the second is inconclusive. Any other ``strategy`` promises no shares, so
    there only who answered is judged.
    """
    total = sum(counts.values())
    share = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    strangers = sorted(set(counts) - set(weights))
    asked = "answers shared " + " : ".join(f"{name} {weight}" for name, weight in weights.items())
    if strategy != "weighted":
        asked = f"answers from {', '.join(weights)}, picked by {strategy}"
    found = ", ".join(f"{name} {counts.get(name, 0)}" for name in weights)
    verdict, reason, p = Verdict.PASS, "", None
    if strangers:
        verdict, reason = Verdict.FAIL, f"answered from outside the group: {', '.join(strangers)}"
    elif not total:
        verdict, reason = Verdict.INCONCLUSIVE, "nobody answered"
    elif strategy != "weighted":
        pass
    elif min(share.values()) * total < 5:
        verdict, reason = Verdict.INCONCLUSIVE, f"{total} answers are too few for these weights"
    else:
        statistic = sum(
            (counts.get(name, 0) - part * total) ** 2 / (part * total)
            for name, part in share.items()
        )
        p = chi_square_tail(statistic, len(weights) - 1)
        if p < FALSE_ALARM:
            verdict, reason = Verdict.FAIL, f"{found}: p = {p:.2g} under the stated weights"
    return Evidence(
        check="route.balance",
        subject=group,
        asked=asked,
        verdict=verdict,
        reason=reason,
        value=found if p is None else f"{found} (p = {p:.2g})",
        n=total,
        recordings=recordings,
    )
