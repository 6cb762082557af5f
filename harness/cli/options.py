"""Options several commands share, and how they show findings and fail."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Console

from harness.cli.explanations import explained
from harness.report.findings import Format, draw, exit_code, put
from harness.stack import TIERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.registry import Finding

EXIT_USAGE = 2

config_option = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("config"),
    show_default=True,
    help="Folder with the source files.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
format_option = click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in Format]),
    default=Format.TEXT.value,
    show_default=True,
    help="How findings are drawn.",
)
tier_option = click.option(
    "--engines",
    "tier",
    type=click.Choice(TIERS),
    default=TIERS[0],
    show_default=True,
    help="native: real llama-server, Valkey, Prometheus, and your own Ollama if it is on PATH; "
    "full: the llama.cpp Python server and vLLM too. `nox -s engines` installs them.",
)
strict_option = click.option("--strict", is_flag=True, help="Let warnings fail too.")


def show_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def show_findings(
    findings: Sequence[Finding], *, form: str, strict: bool = False, defect: int
) -> int:
    """Print findings in a format; return the exit code they ask for.

    Text goes to standard error when something is wrong; what programs read always goes to
    standard output. ``defect`` is the code of an error.
    """
    code = exit_code(findings, strict=strict, defect=defect)
    told_people = form == Format.TEXT
    stream = sys.stderr if told_people and code else sys.stdout
    console = Console(file=stream) if told_people else None
    put(draw(findings, form, explain=explained, console=console), stream)
    return code


def stop_with(findings: Sequence[Finding], *, as_json: bool) -> NoReturn:
    """Print findings and leave with the code of a configuration error."""
    form = Format.JSON if as_json else Format.TEXT
    sys.exit(show_findings(findings, form=form.value, strict=True, defect=EXIT_USAGE))


def stop(text: str, *, code: int = EXIT_USAGE) -> NoReturn:
    """Print one error and leave."""
    click.echo(f"harness: {text}", err=True)
    sys.exit(code)
