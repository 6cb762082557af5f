"""``harness validate``, ``generate`` and ``explain``: the sources, without any traffic."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from harness.cli.options import (
    config_option,
    finding_data,
    json_option,
    show_json,
    stop,
    stop_with,
)
from harness.contract.check import UnknownCheckError
from harness.contract.check import explain as explain_check
from harness.gateway import files
from harness.gateway.litellm_config import compile_files
from harness.registry import RULES, Registry, RegistryError, Severity, check, load
from harness.routing import Refusal, resolve

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@config_option
@json_option
def validate(config: Path, as_json: bool) -> None:  # noqa: FBT001 - click calls it by name
    """Check the source files: every finding at once, each with its place and remedy."""
    findings = check(config)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        stop_with(findings, as_json=as_json)
    if as_json:
        show_json({"findings": [finding_data(finding) for finding in findings]})
        return
    for finding in findings:
        click.echo(str(finding))
    registry = load(config)
    click.echo(
        f"{config}: valid. {len(registry.enabled_providers())} providers, "
        f"{len(registry.routes.exact)} exact names, {len(findings)} warnings."
    )


@click.command()
@config_option
@json_option
@click.option("--check", "only_check", is_flag=True, help="Write nothing; fail on a difference.")
def generate(config: Path, as_json: bool, only_check: bool) -> None:  # noqa: FBT001 - see above
    """Write the LiteLLM configuration, or with --check find hand edits to it."""
    generated = compile_files(_loaded(config, as_json=as_json))
    if only_check:
        findings = files.drift(config, generated)
        if as_json:
            show_json({"findings": [finding_data(finding) for finding in findings]})
        else:
            for finding in findings:
                click.echo(str(finding), err=True)
            if not findings:
                click.echo(f"{', '.join(generated)}: as generated.")
        sys.exit(1 if findings else 0)
    try:
        changed = files.write(config, generated)
    except OSError as error:
        stop(f"{error}. Nothing was half-written; free some space or fix the permissions.", code=1)
    if as_json:
        show_json({"written": [str(path) for path in changed]})
    for path in () if as_json else changed:
        click.echo(f"written: {path}")
    if not changed and not as_json:
        click.echo("nothing changed.")


@click.command()
@click.argument("name")
@config_option
@json_option
@click.option("--down", multiple=True, metavar="PROVIDER", help="Assume this provider is dead.")
def explain(name: str, config: Path, as_json: bool, down: tuple[str, ...]) -> None:  # noqa: FBT001
    """Explain a model name (who answers it, and why), a rule (GW101) or a contract check."""
    text = _known_id(name)
    if text is not None:
        click.echo(text)
        return
    registry = _loaded(config, as_json=as_json)
    unknown = [provider for provider in down if provider not in registry.providers]
    if unknown:
        stop(f"no provider called {unknown[0]}; there are {', '.join(registry.providers)}.")
    found = resolve(registry, name)
    if as_json:
        show_json({"found": not isinstance(found, Refusal), **asdict(found)})
    else:
        for step in found.steps:
            click.echo(f"  {step}")
    if isinstance(found, Refusal):
        if not as_json:
            near = f" Did you mean {' or '.join(found.nearest)}?" if found.nearest else ""
            click.echo(f"{name}: refused.{near}")
        sys.exit(1)
    if as_json:
        return
    for number, tier in enumerate(found.tiers, start=1):
        for d in tier.deployments:
            state = "dead" if d.provider in down else "not resident" if not d.resident else ""
            click.echo(
                f"  {number}. {d.provider} / {d.served_as}  ({d.context_length} tokens, {tier.why})"
                + (f"  [{state}]" if state else "")
            )
    answering = " or ".join(d.provider for d in found.expected(down=down)) or "nobody"
    click.echo(f"{name}: answered by {answering}.")


def _known_id(name: str) -> str | None:
    if name in RULES:
        rule = RULES[name]
        return f"{rule.id}  {rule.title} ({rule.severity})\n\n{rule.why}\n\nRemedy: {rule.remedy}"
    if name in files.EXPLAINED:
        return f"{name}  {files.EXPLAINED[name]}"
    try:
        return explain_check(name.removeprefix("contract."))
    except UnknownCheckError:
        return None


def _loaded(config: Path, *, as_json: bool) -> Registry:
    try:
        return load(config)
    except RegistryError as error:
        stop_with(error.findings, as_json=as_json)
