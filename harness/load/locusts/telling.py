"""What a person reads when a run is over, and with what code its process ends."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from harness.evidence import Verdict
from harness.load.locusts.orders import lags_of, trusted_of
from harness.load.locusts.run import STOPPED
from harness.load.trust import together

if TYPE_CHECKING:
    from harness.load.locusts.run import Run
    from harness.load.overview.summary import Summary
    from harness.load.trust import Trusted

PASS, FAIL, USAGE, INCONCLUSIVE, INTERRUPTED = 0, 1, 2, 3, 130
_NO_BAR = "error bar: off, so nothing is known of the client: quote no figure of this run"


def trusted(run: Run) -> Trusted | None:
    """What its workers found out about themselves; None if they were told not to."""
    if not run.orders.error_bar:
        return None
    bars = (said["error_bar"] for said in run.done.values() if said.get("error_bar"))
    return together(map(trusted_of, bars))


def lines(run: Run, summary: Summary, partial: str | None, client: Trusted | None) -> list[str]:
    """The table: figures, failures, the client's own, the engines' samples, and the journal."""
    counted = f"{summary.n} requests, {summary.failed} failed"
    found = [f"{run.orders.profile}: {counted}, seed {run.orders.setting.seed}", ""]
    found += summary.lines(slo=run.slo, seed=run.orders.setting.seed)
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
        return INTERRUPTED if partial == STOPPED else FAIL
    if summary.failed or not summary.n:
        return FAIL
    if client is not None and client.verdict is not Verdict.PASS:
        return INCONCLUSIVE
    return PASS


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
        cut = said.get("cut_short", 0)
        short = f"; {cut} requests given up at its end" if cut else ""
        lines.append(f"client {worker}: {', '.join(told_of)}{short}")
    return lines
