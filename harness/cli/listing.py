"""``harness engines``: every engine side by side, real and emulated."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from harness.cli.options import json_option, show_json, stop
from harness.engines.engine import EngineError
from harness.engines.recordings.recording import RecordingError
from harness.process.child import ProcessError
from harness.process.ports import PortTaken
from harness.session.inventory import Line, inventory, lacking

BEGIN, END = "<!-- measured: harness engines --out -->", "<!-- end of what was measured -->"
_HEAD = ("Engine", "Kind", "Version", "Start-up", "Memory", "Differences from the real one")


@click.command()
@click.option(
    "--starts",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Times each engine is started; the median is shown.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Markdown file whose part between {BEGIN} and its end is replaced.",
)
@json_option
def engines(starts: int, out: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Measure every installed engine, real and emulated, side by side.

    Each is started alone. A real server is asked a fixed list of questions and so is its emulated
    twin; their answers are compared field by field. Exit code 1: a difference nobody explained.
    """
    if out is not None:
        _region(out)
    absent = lacking()
    if absent:
        click.echo(f"left out: nox -s engines -- {' '.join(absent)}", err=True)
    try:
        lines = asyncio.run(_collect(starts))
    except (EngineError, ProcessError, PortTaken, RecordingError) as error:
        stop(str(error), code=1)
    except KeyboardInterrupt:
        click.echo("interrupted; everything is stopped.", err=True)
        sys.exit(130)
    if as_json:
        show_json([asdict(line) for line in lines])
    else:
        click.echo(_table(lines))
    for line in lines:
        for difference in line.unexplained:
            click.echo(f"unexplained, {line.name}: {difference}", err=True)
    if out is not None:
        before, after = _region(out)
        out.write_text(f"{before}{BEGIN}\n{_table(lines)}\n{END}{after}")
    sys.exit(1 if any(line.unexplained for line in lines) else 0)


async def _collect(starts: int) -> list[Line]:
    lines = []
    with tempfile.TemporaryDirectory(prefix="harness-engines-") as folder:
        async for line in inventory(Path(folder), starts=starts):
            lines.append(line)
            click.echo(f"{line.name} ({line.kind}): ready in {line.start_s:.2f} s", err=True)
    return lines


def _region(path: Path) -> tuple[str, str]:
    """What stands before and after the measured part."""
    try:
        text = path.read_text()
    except OSError as error:
        stop(f"{path} cannot be read: {error.strerror}")
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        stop(f"{path} has no place for the table: write the lines {BEGIN} and {END} into it.")
    return before, after


def _table(lines: list[Line]) -> str:
    rows = [_HEAD, tuple("---" for _ in _HEAD)]
    rows += [
        (line.name, line.kind, line.version, _starts(line), _memory(line), _differences(line))
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _starts(line: Line) -> str:
    if len(line.starts_s) == 1:
        return f"{line.start_s:.2f} s"
    return f"{line.start_s:.2f} s ({min(line.starts_s):.2f} to {max(line.starts_s):.2f})"


def _memory(line: Line) -> str:
    return f"{line.memory_bytes / 1024**2:,.0f} MiB"


def _differences(line: Line) -> str:
    if line.probes is None:
        return "-"
    return (
        f"{line.probes} questions: {line.explained} explained, {len(line.unexplained)} unexplained"
    )
