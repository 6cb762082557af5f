"""What a person reads when a run is over, and with what code its process ends."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from harness.evidence import Evidence, Verdict
from harness.load.locusts.clerk import GIVEN_UP
from harness.load.locusts.orders import lags_of, trusted_of
from harness.load.locusts.run import STOPPED
from harness.load.trust import together

if TYPE_CHECKING:
    from typing import Any

    from harness.load.locusts.run import Run
    from harness.load.overview.summary import Summary
    from harness.load.trust import Trusted

PASS, FAIL, USAGE, INCONCLUSIVE, INTERRUPTED = 0, 1, 2, 3, 130
EXPLAINED = {
    "load.whole": """An answer of the load was not whole

It counts only with status 200, a finish reason, the end marker of its stream and no error object.
What is not whole has no latency and is in no figure but its own.

Remedy: the page of the load lists the kinds of failure with what the first of each said.""",
}
"""What ``harness explain`` says of it."""
_NO_BAR = "error bar: off, so nothing is known of the client: quote no figure of this run"


def trusted(run: Run) -> Trusted | None:
    """What its workers found out about themselves; None if they were told not to."""
    if not run.orders.error_bar:
        return None
    bars = (said["error_bar"] for said in run.done.values() if said.get("error_bar"))
    return together(map(trusted_of, bars))


def kept(run: Run) -> dict[str, dict[str, Any]]:
    """What its workers said last of all, for the journal: the error bar is evidence."""
    return {
        worker: {name: value for name, value in said.items() if name != "error_bar"}
        for worker, said in run.done.items()
    }


def evidence(run: Run, summary: Summary, client: Trusted | None) -> list[Evidence]:
    """What was judged of the run: whether its answers were whole, and the client itself."""
    why = f"{summary.failed} of {summary.n} were not" if summary.failed else ""
    found = [
        Evidence(
            check="load.whole",
            subject=f"load:{run.orders.profile}",
            asked="Was every answer whole?",
            verdict=Verdict.PASS if summary.n and not why else Verdict.FAIL,
            reason=why if summary.n else "no request was made",
            value=summary.failed,
            unit="answers",
            n=summary.n,
            bound=0.0,
            seed=run.orders.setting.seed,
        )
    ]
    if client is None or not client.evidence:
        found.append(
            Evidence(
                check="load.client.reference",
                subject="client",
                asked="Was the client held against a known timing?",
                verdict=Verdict.NOT_RUN if client is None else Verdict.INCONCLUSIVE,
                reason=_NO_BAR if client is None else "not measured: no worker told of it",
            )
        )
    found += run.counts.evidence(run.orders.profile, run.orders.setting.seed)
    return found + list(client.evidence if client else ())


def lines(run: Run, summary: Summary, partial: str | None, client: Trusted | None) -> list[str]:
    """The table: figures, failures, the client's own, the engines' samples, and the journal."""
    counted = f"{summary.n} requests, {summary.failed} failed"
    found = [f"{run.orders.profile}: {counted}, seed {run.orders.setting.seed}", ""]
    found += summary.lines(slo=run.slo)
    found += run.counts.lines
    found += _lag_lines(run)
    if client is None:
        found.append(_NO_BAR)
    else:
        found += ["", *client.lines()]
        found += [f"INCONCLUSIVE: {why}" for why in client.why]
    if partial:
        found.append(f"PARTIAL: {partial}")
    found += ["", *run.engines.lines(), f"journal: {run.folder}"]
    return [*found, f"draw it: harness load report {shlex.quote(str(run.folder))}"]


def code(run: Run, summary: Summary, partial: str | None, client: Trusted | None) -> int:
    """The exit code; a load without one request proves nothing and fails."""
    if run.trouble:
        return USAGE
    if partial:
        return INTERRUPTED if _interrupted(partial) else FAIL
    if summary.failed or not summary.n:
        return FAIL
    if run.counts.why or (client is not None and client.verdict is not Verdict.PASS):
        return INCONCLUSIVE
    return PASS


def _interrupted(partial: str) -> bool:
    """Whether it is partial because somebody wanted it so, and for no other reason."""
    return all(why == STOPPED or why.endswith(GIVEN_UP) for why in partial.split("; "))


def _lag_lines(run: Run) -> list[str]:
    lines = []
    for worker, said in run.done.items():
        if "vitals" not in said:
            continue
        told_of = []
        for which in ("dispatch_lag", "loop_lag"):
            lags = lags_of(said["vitals"][which])
            shown = [lags.quantile_ns(q) for q in (0.5, 0.99)]
            if shown[0] is not None and shown[1] is not None:
                told_of.append(
                    f"{which.replace('_', ' ')} p50 {shown[0] / 1e6:.2f} p99 {shown[1] / 1e6:.2f} "
                    f"most {lags.most_ns / 1e6:.1f} ms"
                )
        if (slice_ns := said["vitals"].get("slice_ns")) is not None:
            told_of.append(f"slices of {slice_ns / 1e6:g} ms")
        cut = said.get("cut_short", 0)
        short = f"; {cut} requests given up at its end" if cut else ""
        lines.append(f"client {worker}: {', '.join(told_of)}{short}")
    return lines
