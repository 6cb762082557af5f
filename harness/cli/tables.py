"""Tables on a terminal: no figure is ever cut, however narrow it is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_ROOM = 10_000


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: Collection[str] = (),
    title: str | None = None,
) -> None:
    """Print ``rows`` under ``columns``; those not in ``left`` stand to the right of their column.

    Where the terminal is too narrow for all columns, each row is told line by line instead.
    """
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    endless = Console(width=_ROOM)
    wide = Measurement.get(endless, endless.options, table).maximum
    if not sys.stdout.isatty() or wide <= Console().width:
        Console(width=wide).print(table)
        return
    if title:
        click.echo(title)
    inset = max(map(len, columns[1:]))
    for first, *rest in rows:
        click.echo(f"{columns[0]}: {first}")
        for column, cell in zip(columns[1:], rest, strict=True):
            if cell:
                click.echo(f"  {column:<{inset}}  {cell}")
