"""``harness generate``, ``plan`` and ``backup``: the generated files and their past."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from harness.cli.options import (
    config_option,
    format_option,
    json_option,
    show_findings,
    show_json,
    stop,
    stop_with,
)
from harness.gateway import files
from harness.gateway import plan as planning
from harness.gateway.backup import replace, restore, verify
from harness.gateway.kinds import kind
from harness.gateway.litellm_mapping import mapping_report
from harness.gateway.manifest import Backup, find, list_backups
from harness.gateway.swap import StoreError, recover
from harness.registry import Registry, RegistryError, load
from harness.report.findings import Format

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@config_option
@format_option
@json_option
@click.option("--check", "only_check", is_flag=True, help="Write nothing; fail on a difference.")
@click.option("--report", "report", is_flag=True, help="Say how exactly each field is compiled.")
def generate(
    config: Path,
    form: str,
    as_json: bool,  # noqa: FBT001 - click calls it by name
    only_check: bool,  # noqa: FBT001 - likewise
    report: bool,  # noqa: FBT001 - likewise
) -> None:
    """Write the LiteLLM configuration, or --check it for hand edits.

    The files that are replaced are backed up first; see `harness backup`.
    """
    registry = loaded(config, as_json=as_json)
    if report:
        _show_mapping(registry, as_json=as_json)
        return
    generated = kind(registry).files(registry)
    settle(config)
    if only_check:
        findings = files.drift(config, generated)
        code = show_findings(
            findings, form=Format.JSON.value if as_json else form, strict=True, defect=1
        )
        if not findings and not as_json and form == Format.TEXT:
            click.echo(f"{', '.join(generated)}: as generated.")
        sys.exit(code)
    try:
        done = replace(config, generated, now=datetime.now(UTC))
    except StoreError as error:
        stop(str(error), code=1)
    if as_json:
        backup_name = done.backup.name if done.backup else None
        show_json({"written": [str(path) for path in done.written], "backup": backup_name})
        return
    for path in done.written:
        click.echo(f"written: {path}")
    if done.backup is not None:
        click.echo(f"the files before are kept as backup {done.backup.name}")
    if not done.written:
        click.echo("nothing changed.")


@click.command()
@config_option
@json_option
def plan(config: Path, as_json: bool) -> None:  # noqa: FBT001 - click calls it by name
    """Tell what `harness generate` would change, route by route.

    Exit code 0: nothing, 2: something, 1: it could not be told.
    """
    registry = loaded(config, as_json=as_json)
    generated = kind(registry).files(registry)
    settle(config)
    try:
        found = planning.plan_files(config, generated)
    except planning.PlanError as error:
        stop(str(error), code=1)
    if as_json:
        show_json(planning.data(found))
    else:
        click.echo(planning.render(found).rstrip("\n"))
    sys.exit(found.exit_code)


@click.group()
def backup() -> None:
    """List, check and bring back earlier generated files.

    Kept are the 10 most recent, and one of each of 7 days and 4 weeks.
    """


@backup.command("list")
@config_option
@json_option
def list_(config: Path, as_json: bool) -> None:  # noqa: FBT001 - click calls it by name
    """List the backups, the latest first."""
    kept = _store(config)
    if as_json:
        show_json(
            [{"name": one.name, "files": list(one.files), "problem": one.problem} for one in kept]
        )
        return
    for one in kept:
        click.echo(f"{one.name}  {', '.join(one.files)}  {one.problem or ''}".rstrip())
    if not kept:
        click.echo("no backups yet: `harness generate` makes one when it replaces something.")


@backup.command("verify")
@click.argument("name", required=False)
@config_option
@format_option
def verify_(name: str | None, config: Path, form: str) -> None:
    """Check that a backup, or every one, can be restored.

    It is restored into a temporary folder, and what arrives is looked at.
    """
    try:
        chosen = [find(config, name)] if name else list_backups(config)
        findings = [finding for one in chosen for finding in verify(one)]
    except StoreError as error:
        stop(str(error), code=1)
    code = show_findings(findings, form=form, defect=1)
    if not findings and form == Format.TEXT:
        click.echo(f"{len(chosen)} backups can be restored.")
    sys.exit(code)


@backup.command("restore")
@click.argument("name")
@config_option
def restore_(name: str, config: Path) -> None:
    """Bring back every file of a backup, or none.

    The present files are backed up first.
    """
    try:
        done = restore(config, find(config, name), now=datetime.now(UTC))
    except StoreError as error:
        stop(str(error), code=1)
    for path in done.written:
        click.echo(f"restored: {path}")
    if not done.written:
        click.echo("nothing changed: the files are those of the backup already.")


def loaded(config: Path, *, as_json: bool) -> Registry:
    """The sources, or all that is wrong with them and the end."""
    try:
        registry = load(config)
        kind(registry)
    except RegistryError as error:
        stop_with(error.findings, as_json=as_json)
    return registry


def settle(config: Path) -> None:
    """End a replacement of the generated files that a crash interrupted, before they are read."""
    try:
        recover(config)
    except StoreError as error:
        stop(str(error), code=1)


def _store(config: Path) -> list[Backup]:
    try:
        return list_backups(config)
    except StoreError as error:
        stop(str(error), code=1)


def _show_mapping(registry: Registry, *, as_json: bool) -> None:
    rows = mapping_report(registry)
    if as_json:
        show_json([row.__dict__ if hasattr(row, "__dict__") else str(row) for row in rows])
        return
    for row in rows:
        click.echo(str(row))
