"""``harness load report``: a load drawn as a page, its engines' own word beside it."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import stop
from harness.evidence import EvidenceError
from harness.load.journal.journal import JournalError
from harness.load.overview.overview import overview
from harness.load.sampling.sampling import SamplingError
from harness.report import ReportError
from harness.report.load import write_load_page


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--capacity",
    type=click.FloatRange(min=0, min_open=True),
    help="Requests of full length that fit the KV cache, drawn as a line.  [default: what the "
    "engine said]",
)
def draw(folder: Path, capacity: float | None) -> None:
    """Draw the load recorded in FOLDER as FOLDER/index.html.

    The record may be partial. It reads what the run left there: the requests, the engines' own
    metrics and the evidence.
    """
    try:
        path = write_load_page(folder, overview(folder), capacity=capacity)
    except (JournalError, SamplingError, EvidenceError) as error:
        stop(str(error))
    except ReportError as error:
        stop(str(error), code=1)
    click.echo(str(path))
