"""How searches and comparisons under load look on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.tables import show_table
from harness.evidence import Verdict
from harness.load.comparing.compare import FAILURES, UNITS
from harness.load.finding.search import ROUNDS
from harness.load.goodput import GAPS

if TYPE_CHECKING:
    from harness.load.comparing.compare import Judgement, Run
    from harness.load.finding.finding import Search
    from harness.load.finding.level import Visit
    from harness.load.finding.search import Plan


def tell(visit: Visit, plan: Plan) -> None:
    """Say a visit in a line, on standard error."""
    unit = "users" if plan.whole else "req/s"
    said = visit.why if visit.short == "broken" else visit.why.partition(";")[0]
    why = f"  {said}" if said else ""
    click.echo(f"{visit.level:8.4g} {unit}  {visit.took_s:5.0f} s  {visit.verdict}{why}", err=True)


def tell_run(number: int, run: Run, of: int, *, quiet: bool) -> None:
    """Say a run in a line, on standard error."""
    if not quiet:
        failed = sum(not met.whole for met in run.mets)
        click.echo(
            f"run {number + 1:>3} of {of}  {run.arm}  {len(run.mets)} requests, {failed} failed"
            + (f"  {run.excuse}" if run.excuse else ""),
            err=True,
        )


def show_search(result: Search) -> None:
    """Draw what a search found."""
    unit = "users" if result.plan.whole else "req/s"
    columns = (
        unit,
        "verdict",
        "requests",
        "failed",
        "within limit, %",
        "figure, ms",
        "good/s",
        "tokens/s",
    )
    rows = []
    for visit in sorted(result.visits, key=lambda visit: visit.level):
        kept = next((one for one in visit.kept if one.verdict is visit.verdict), None)
        kept = kept or next(iter(visit.kept), None)
        within = (
            _span(kept.share * 100, kept.share_low * 100, kept.share_high * 100) if kept else ""
        )
        rows.append(
            (
                f"{visit.level:.3g}",
                _verdict(visit),
                str(visit.requests),
                str(visit.failed),
                within,
                _span(kept.value_ms, kept.low_ms, kept.high_ms, visit) if kept else "",
                _span(visit.good_per_s, visit.good_low_per_s, visit.good_high_per_s),
                f"{visit.tokens_per_s:,.0f}",
            )
        )
    if rows:
        show_table(columns, rows, left=("verdict",))
        one_visit = 1 - 2 * result.plan.error / ROUNDS
        click.echo(f"[low, high]: the interval of one visit, {one_visit:.1%} sure; n = requests")
        click.echo(
            "good/s: of the requests that were due in it; tokens/s: of the answers that came"
        )
    sure = f"{result.plan.confidence:.0%} confidence" if result.found.sure else "not sure"
    click.echo(f"{result.found.text} ({unit}, {sure})  engine: {result.engine}")
    if result.found.open:
        between = ", ".join(f"{level:.4g}" for level in result.found.open)
        click.echo(f"visited and left undecided: {between}")
    if not result.found.sure and all(objective.metric in GAPS for objective in result.plan.slo):
        click.echo(
            "no queue breaks what was promised: promise a time with its wait in it (ttft, e2e)"
        )
    if result.knee is None:
        click.echo("knee: too few levels were measured")
    else:
        low = "?" if result.knee.low is None else f"{result.knee.low:.4g}"
        high = "?" if result.knee.high is None else f"{result.knee.high:.4g}"
        click.echo(
            f"knee (most throughput by latency): {result.knee.level:.4g} {unit}, "
            f"between {low} and {high}"
        )
    if result.interrupted:
        click.echo("interrupted: the same command goes on where it stopped", err=True)
    elif result.unfinished:
        click.echo(
            "the budget is spent: the same command with more --budget-s goes on from here", err=True
        )
    click.echo(str(result.folder))


def show_judgement(judgement: Judgement) -> None:
    """Draw a comparison and what it is worth."""
    columns = ("metric", "A", "B", "effect", "interval", "verdict", "false alarms", "true found")
    rows = []
    for one in judgement.compared:
        worth = one.worth
        rows.append(
            (
                f"{one.metric}, {UNITS[one.metric]}",
                "" if one.a is None else _as(one.metric, one.a),
                "" if one.b is None else _as(one.metric, one.b),
                "" if one.effect is None else f"{one.effect:+.1%}",
                "" if one.low is None or one.high is None else f"{one.low:+.1%} to {one.high:+.1%}",
                "open" if one.verdict is Verdict.INCONCLUSIVE else str(one.verdict),
                "" if worth is None else f"{worth.false_alarms:.1%}",
                ""
                if worth is None
                else f"{worth.found:.0%} of {worth.effect:+.0%} ({worth.overlooked:.0%} missed)",
            )
        )
    show_table(columns, rows, left=("metric",))
    blocks = max((one.blocks for one in judgement.compared), default=0)
    of = f"{blocks} blocks of 4 runs" if judgement.interleaved else "windows of two records"
    click.echo(f"{judgement.confidence:.0%} intervals over {of}, {judgement.requests} requests")
    replayed = [one.worth.replays for one in judgement.compared if one.worth is not None]
    if replayed and judgement.interleaved:
        click.echo(f"the last two columns are measured: {min(replayed)} replays of these runs")
    elif replayed:
        click.echo(
            f"the last two columns are measured: {min(replayed)} replays within one record; what "
            "changed between the two is not in them"
        )
    if judgement.left_out:
        click.echo(judgement.left_out)
    if not judgement.interleaved:
        click.echo(
            "not measured in turn: what changed on the machine between the two is in the effect, "
            "and the verdict is of these two records, not of what they were to compare"
        )
    click.echo(f"{judgement.verdict}{f': {judgement.why}' if judgement.why else ''}")


def _as(metric: str, value: float) -> str:
    return f"{100 * value:.3g}" if metric == FAILURES else f"{value:.4g}"


def _verdict(visit: Visit) -> str:
    if visit.verdict is Verdict.INCONCLUSIVE:
        return "open"
    return f"{visit.verdict}, cut short" if visit.short == "broken" else str(visit.verdict)


def _span(
    value: float | None, low: float | None, high: float | None, visit: Visit | None = None
) -> str:
    if value is None:
        return "given up" if visit and visit.given_up else "failed"
    bounds = ", ".join("?" if bound is None else f"{bound:.3g}" for bound in (low, high))
    return f"{value:.3g} [{bounds}]"
