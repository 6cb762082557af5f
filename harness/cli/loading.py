"""``harness load``: loads that are judged: the most a target carries, and whether it got worse."""

from __future__ import annotations

import click

from harness.cli.comparing import compare
from harness.cli.drawing import draw
from harness.cli.finding import find
from harness.cli.sharing import share


@click.group("load")
def load_() -> None:
    """Load a target: how much it carries, whether it got worse."""


for command in (find, compare, share, draw):
    load_.add_command(command)
