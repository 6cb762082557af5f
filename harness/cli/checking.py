"""``harness validate`` and ``lint``: what is wrong with files, without any traffic."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import (
    EXIT_USAGE,
    config_option,
    format_option,
    json_option,
    show_findings,
    stop,
    strict_option,
)
from harness.gateway import kinds
from harness.gateway.litellm_fixes import mend_file
from harness.gateway.litellm_lint import lint_file
from harness.gateway.ports import port_conflicts
from harness.registry import check, load
from harness.registry.fixes import mend_sources
from harness.registry.rewrite import FixError, apply, preview
from harness.report.findings import Format, put

if TYPE_CHECKING:
    from harness.registry.fixes import Mended

fix_option = click.option(
    "--fix", "fix", is_flag=True, help="Put right what is certain; the diff comes first."
)


@click.command()
@config_option
@format_option
@json_option
@strict_option
@fix_option
@click.option("--ports", is_flag=True, help="Also ask this machine who holds the ports.")
def validate(
    config: Path,
    form: str,
    as_json: bool,  # noqa: FBT001 - click calls it by name
    strict: bool,  # noqa: FBT001 - likewise
    fix: bool,  # noqa: FBT001 - likewise
    ports: bool,  # noqa: FBT001 - likewise
) -> None:
    """Check the source files: every finding, its place and remedy."""
    form = Format.JSON.value if as_json else form
    if fix:
        _mend([mend_sources(config)])
    findings = check(config)
    sound = not any(finding.severity == "error" for finding in findings)
    if sound:
        findings = sorted([*findings, *kinds.findings(load(config))])
    if ports and sound:
        findings = sorted([*findings, *port_conflicts(load(config))])
    code = show_findings(findings, form=form, strict=strict, defect=EXIT_USAGE)
    if code == 0 and form == Format.TEXT:
        registry = load(config)
        click.echo(
            f"{config}: valid. {len(registry.enabled_providers())} providers, "
            f"{len(registry.routes.exact)} exact names, {len(findings)} warnings."
        )
    sys.exit(code)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@format_option
@json_option
@strict_option
@fix_option
def lint(
    files: tuple[Path, ...],
    form: str,
    as_json: bool,  # noqa: FBT001 - click calls it by name
    strict: bool,  # noqa: FBT001 - likewise
    fix: bool,  # noqa: FBT001 - likewise
) -> None:
    """Lint any LiteLLM config.yaml, Prometheus rules or dashboard.

    FILES may be our own sources too.
    Nothing is imported, asked or started: the files are only read, and with --fix mended.
    """
    if fix:
        _mend([mend_file(path) for path in files])
    findings = sorted(finding for path in files for finding in lint_file(path))
    code = show_findings(
        findings, form=Format.JSON.value if as_json else form, strict=strict, defect=1
    )
    if not findings and not as_json and form == Format.TEXT:
        click.echo(f"{', '.join(map(str, files))}: nothing found.")
    sys.exit(code)


def _mend(offers: list[Mended]) -> None:
    """Show what is certain to be put right, then do it, all of a file's fixes or none."""
    changed = [offer for offer in offers if offer.changed]
    if not changed:
        click.echo("nothing to fix.", err=True)
        return
    for offer in changed:
        put(preview(offer), sys.stderr)
    try:
        for offer in changed:
            for path in apply(offer):
                click.echo(f"fixed: {path}", err=True)
    except FixError as error:
        stop(str(error), code=1)
