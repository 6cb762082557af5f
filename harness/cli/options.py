"""Options several commands share, and how they fail."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def show_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def finding_data(finding: Finding) -> dict[str, Any]:
    """A finding as plain data."""
    return {
        "id": finding.rule,
        "severity": str(finding.severity),
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "message": finding.message,
        "remedy": finding.remedy,
    }


def stop_with(findings: Iterable[Finding], *, as_json: bool) -> NoReturn:
    """Print findings and leave with the code of a configuration error."""
    listed = list(findings)
    if as_json:
        show_json({"findings": [finding_data(finding) for finding in listed]})
    else:
        for finding in listed:
            click.echo(str(finding), err=True)
        click.echo(f"{len(listed)} findings. `harness explain ID` describes each rule.", err=True)
    sys.exit(EXIT_USAGE)


def stop(text: str, *, code: int = EXIT_USAGE) -> NoReturn:
    """Print one error and leave."""
    click.echo(f"harness: {text}", err=True)
    sys.exit(code)
