"""The ``harness`` command."""

from __future__ import annotations

import sys
from typing import Any

import click

import harness
from harness.cli.asking import live
from harness.cli.calibrating import calibrate_
from harness.cli.capacity import capacity_
from harness.cli.checking import lint, validate
from harness.cli.claiming import claims_
from harness.cli.explaining import explain
from harness.cli.forecasting import forecast_
from harness.cli.generating import backup, generate, plan
from harness.cli.listing import engines
from harness.cli.loading import load_
from harness.cli.running import report, run
from harness.cli.starting import import_, init
from harness.cli.up import up

_COMMANDS = (
    init,
    import_,
    validate,
    lint,
    live,
    explain,
    plan,
    generate,
    backup,
    run,
    report,
    claims_,
    up,
    forecast_,
    load_,
    capacity_,
    engines,
    calibrate_,
)


INTERRUPTED = 130


class _Interruptible(click.Group):
    """A group whose commands end with 130 on Ctrl-C, also those that say nothing of their own."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted.", err=True)
            sys.exit(INTERRUPTED)


@click.group(
    cls=_Interruptible,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 pass, 1 fail, 2 usage or configuration error (plan: changes), "
    "3 inconclusive, 130 interrupted.",
)
@click.version_option(harness.__version__, prog_name="harness")
def main() -> None:
    """Prove or refute what an LLM gateway promises, with evidence."""


for command in _COMMANDS:
    main.add_command(command)
