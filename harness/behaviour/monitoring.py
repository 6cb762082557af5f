"""Is everybody's state known? What Prometheus says of those it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.evidence import Evidence, Verdict

if TYPE_CHECKING:
    from harness.engines.real.prometheus import Scrape

EXPLAINED = {
    "monitoring.scrape": """A real Prometheus reads the metrics of the gateway and of each engine

An alert on a server that nobody reads never fires. Prometheus is started beside the real engines
and told of everybody who has metrics; its own list of targets must show each as up.

Remedy: the error is that of Prometheus: a path that moved, a key it does not have, or a page that
is not in its text format.""",
}
"""What ``harness explain`` says of each check."""


def judge_scrape(name: str, scrape: Scrape | None) -> Evidence:
    """Whether the last read of a target went well; None: Prometheus does not know it."""
    if scrape is None:
        verdict, reason = Verdict.FAIL, "Prometheus has no such target"
    elif scrape.health != "up":
        verdict, reason = Verdict.FAIL, f"{scrape.health}: {scrape.error or 'not read yet'}"
    else:
        verdict, reason = Verdict.PASS, ""
    return Evidence(
        check="monitoring.scrape",
        subject=name,
        asked="its metrics are read by Prometheus",
        verdict=verdict,
        reason=reason,
        value=None if scrape is None else scrape.health,
        n=None if scrape is None else 1,
    )
