"""``harness claims``: what was claimed, measured and judged."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from harness.claims import ClaimError, Status, load_claims
from harness.claims.expect import shown
from harness.claims.judge import tally
from harness.cli.options import config_option, json_option, show_json, stop, stop_with
from harness.cli.progress import Progress
from harness.engines.installs import InstallError
from harness.evidence import EvidenceError, Verdict
from harness.gate import PolicyError
from harness.registry import RegistryError
from harness.report.claims import KINDS
from harness.report.view import visible
from harness.report.write import ReportError
from harness.session.claims import ClaimOptions, judge_claims
from harness.session.outcome import CLAIMS

if TYPE_CHECKING:
    from typing import Literal

    from harness.claims import JudgedClaim, JudgedReading
    from harness.evidence import Evidence
    from harness.session.claims import ClaimsOutcome

INTERRUPTED = 130
LATEST = Path("reports") / "latest"
_COLOURS = {
    Status.REPRODUCED: "green",
    Status.REFUTED: "red",
    Status.INCONCLUSIVE: "yellow",
    Status.NOT_RUN: "dim",
}


@click.command("claims")
@config_option
@json_option
@click.option(
    "--engines",
    "tier",
    type=click.Choice(("emulated", "full")),
    default="emulated",
    show_default=True,
    help="full: on real vLLM too, which takes minutes. `nox -s engines -- vllm` installs it.",
)
@click.option(
    "--only",
    "names",
    multiple=True,
    metavar="CLAIM[.READING]",
    help="This claim, or this reading of it; may be repeated.",
)
@click.option(
    "--run",
    "run_folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=LATEST,
    show_default=True,
    help="Folder of a `harness run`, whose evidence some claims rest on.",
)
@click.option("--seed", default=1, show_default=True, help="Same seed, same prompts and order.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports") / "claims",
    show_default=True,
    help="Folder that gets a folder a session.",
)
@click.option("--list", "listing", is_flag=True, help="Show the claims; measure nothing.")
def claims_(
    config: Path,
    as_json: bool,  # noqa: FBT001 - click calls it by name
    tier: Literal["emulated", "full"],
    names: tuple[str, ...],
    run_folder: Path,
    seed: int,
    out: Path,
    listing: bool,  # noqa: FBT001 - see above
) -> None:
    """Measure what was claimed, and say which claims hold.

    Each is reproduced, refuted, inconclusive, or not run and why. They stand in
    config/claims.yaml, with their words and what those can mean. Exit code 0: all that was run is
    decided; 3: something is inconclusive; 1: a gate in config/gates.yaml that asks for a claim
    fails. A claim that is refuted is a result, and by itself no failure.
    """
    try:
        if listing:
            _list(config, as_json=as_json)
            return
        options = ClaimOptions(
            config=config,
            out=out,
            run=run_folder,
            seed=seed,
            tier=tier,
            only=names,
            command=shlex.join(["harness", *sys.argv[1:]]),
        )
        with Progress(quiet=as_json) as progress:
            outcome = asyncio.run(_until_done(options, progress))
    except (RegistryError, ClaimError) as error:
        stop_with(error.findings, as_json=as_json)
    except KeyError as error:
        stop(f"no claim {error.args[0]!r}: `harness claims --list` shows all [claims.unknown]")
    except (PolicyError, InstallError) as error:
        stop(str(error))
    except (EvidenceError, ReportError) as error:
        stop(str(error), code=1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("interrupted; what was found so far is kept.", err=True)
        sys.exit(INTERRUPTED)
    if as_json:
        show_json(outcome.data())
    else:
        _show(outcome)
    sys.exit(outcome.exit_code)


async def _until_done(options: ClaimOptions, progress: Progress) -> ClaimsOutcome:
    """Run the session; SIGTERM and SIGHUP end it as orderly as Ctrl-C does."""
    task = asyncio.ensure_future(judge_claims(options, progress))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    return await task


def _list(config: Path, *, as_json: bool) -> None:
    claims = load_claims(config / CLAIMS)
    if as_json:
        show_json([claim.model_dump(mode="json", exclude_none=True) for claim in claims.claims])
        return
    for claim in claims.claims:
        click.echo(f'{claim.id}  "{claim.quote}"  {claim.document}:{claim.line}')
        for reading in claim.readings:
            expected = f"  [{reading.expect}]" if reading.expect else "  [not measured here]"
            click.echo(f"    .{reading.id}  {reading.means}{expected}")


def _show(outcome: ClaimsOutcome) -> None:
    console = Console(highlight=False)
    for judged in outcome.claims:
        _claim(console, judged)
    counts = ", ".join(
        f"{count} {status.value.replace('-', ' ')}"
        for status, count in sorted(tally(outcome.claims).items(), key=_rank, reverse=True)
    )
    n = len(outcome.claims)
    console.print(f"{n} {'claim' if n == 1 else 'claims'}: {counts}", style="bold")
    for row in outcome.report.rows:
        console.print(f"gate {row.id}: {row.verdict}")
    click.echo(f"{outcome.directory / 'index.html'}")


def _rank(item: tuple[Status, int]) -> int:
    return tuple(Status).index(item[0])


def _claim(console: Console, judged: JudgedClaim) -> None:
    claim = judged.claim
    line = Text()
    line.append_text(_mark(judged.status))
    line.append(f" {claim.id}", style="bold")
    line.append(f'  "{visible(claim.quote)}"')
    line.append(f"  {claim.document}:{claim.line}", style="dim")
    console.print(line, soft_wrap=True)
    for each in judged.readings:
        _reading(console, each)
    console.print()


def _reading(console: Console, judged: JudgedReading) -> None:
    line = Text("  ")
    line.append_text(_mark(judged.status))
    line.append(f" {visible(judged.reading.means)}")
    console.print(line, soft_wrap=True)
    for row in judged.rows:
        said = "; ".join(each for each in (_figure(row), row.reason) if each)
        console.print(Text(visible(f"      {row.subject}: {said}"), style="dim"), soft_wrap=True)
    if not judged.rows:
        console.print(Text("      not reached", style="dim"))


def _figure(row: Evidence) -> str:
    """The value with its unit and interval; nothing where the reason says it already."""
    if not isinstance(row.value, int | float) or row.verdict is Verdict.FAIL:
        return ""
    span = ""
    if row.interval is not None:
        span = f" [{shown(row.interval[0])}, {shown(row.interval[1])}]"
    return f"{shown(row.value)} {row.unit or ''}{span}".rstrip()


def _mark(status: Status) -> Text:
    kind = KINDS[status.value]
    return Text(f"{kind.glyph} {status.value:<12}", style=_COLOURS[status])
