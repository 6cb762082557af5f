"""``harness run`` and ``report``: the main job, and its drawing from kept evidence."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from harness.cli.options import (
    config_option,
    json_option,
    show_json,
    stop,
    stop_with,
    tier_option,
)
from harness.cli.progress import Progress
from harness.contract.deviations import LedgerError
from harness.engines.engine import EngineError
from harness.evidence import EvidenceError
from harness.gate import PolicyError
from harness.gateway.swap import StoreError
from harness.registry import RegistryError
from harness.report.terminal import draw
from harness.report.write import ReportError
from harness.session import PHASES, Options, rejudge
from harness.session import run as run_job

if TYPE_CHECKING:
    from harness.session import Outcome
    from harness.stack import Tier

INTERRUPTED = 130
LATEST = Path("reports") / "latest"


@click.command()
@config_option
@json_option
@click.option("--seed", default=1, show_default=True, help="Same seed, same tokens and order.")
@tier_option
@click.option(
    "--only",
    "phases",
    multiple=True,
    type=click.Choice([phase.name for phase in PHASES]),
    help="Run this phase only, and judge only its gates; may be repeated.",
)
@click.option("--port", type=int, help="Listen here instead of on a free port.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports"),
    show_default=True,
    help="Folder that gets a folder a run.",
)
def run(
    config: Path,
    as_json: bool,  # noqa: FBT001 - click calls it by name
    seed: int,
    tier: Tier,
    phases: tuple[str, ...],
    port: int | None,
    out: Path,
) -> None:
    """Do the main job: start the gateway, drive, judge, report.

    The gateway is the real LiteLLM proxy; its engines are emulated or real, as --engines says.
    """
    options = Options(
        config=config,
        out=out,
        seed=seed,
        tier=tier,
        phases=phases,
        port=port,
        command=shlex.join(["harness", *sys.argv[1:]]),
    )
    try:
        with Progress(quiet=as_json) as progress:
            outcome = asyncio.run(_until_done(options, progress))
    except RegistryError as error:
        stop_with(error.findings, as_json=as_json)
    except (EngineError, PolicyError, LedgerError) as error:
        stop(str(error))
    except (EvidenceError, ReportError, StoreError) as error:
        stop(str(error), code=1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("interrupted; what was found so far is kept.", err=True)
        sys.exit(INTERRUPTED)
    _show(outcome, as_json=as_json)
    sys.exit(outcome.exit_code)


@click.command()
@click.argument(
    "directory", type=click.Path(path_type=Path, exists=True, file_okay=False), default=LATEST
)
@config_option
@json_option
def report(directory: Path, config: Path, as_json: bool) -> None:  # noqa: FBT001 - see above
    """Judge the evidence of a past run again, and draw it anew.

    It is judged by today's policy.
    """
    try:
        outcome = rejudge(directory, config)
    except (EvidenceError, PolicyError, ReportError) as error:
        stop(str(error))
    _show(outcome, as_json=as_json)
    sys.exit(outcome.exit_code)


async def _until_done(options: Options, progress: Progress) -> Outcome:
    """Run the job; SIGTERM and SIGHUP end it as orderly as Ctrl-C does."""
    task = asyncio.ensure_future(run_job(options, progress))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    return await task


def _show(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        show_json(outcome.data())
    else:
        draw(Console(), outcome.run, outcome.evidence, outcome.report)
        click.echo(f"\n{outcome.directory / 'index.html'}")
