"""``harness explain``: a model name, a rule, or a contract check."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from harness.cli.explanations import text
from harness.cli.generating import loaded
from harness.cli.options import config_option, json_option, show_json, stop
from harness.routing import Refusal, resolve

if TYPE_CHECKING:
    from pathlib import Path

    from harness.routing import Route


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[route] NAME | ID")
@config_option
@json_option
@click.option("--context", type=click.IntRange(min=1), help="Tokens of the prompt.")
@click.option("--needs", multiple=True, metavar="CAPABILITY", help="What the request needs.")
@click.option("--down", multiple=True, metavar="PROVIDER", help="Assume this provider is dead.")
def explain(
    words: tuple[str, ...],
    config: Path,
    as_json: bool,  # noqa: FBT001 - click calls it by name
    context: int | None,
    needs: tuple[str, ...],
    down: tuple[str, ...],
) -> None:
    """Explain a model name, or the id of a rule, check or error.

    Of a model name it says who answers it, in which order, and why; of an id such as GW101 what it
    means and what to do.

    `harness explain route NAME` takes NAME for a model name whatever it looks like.
    """
    forced = len(words) == 2 and words[0] == "route"
    if len(words) > 1 and not forced:
        stop("explain takes one name, or the word route and a name.")
    name = words[-1]
    described = None if forced else text(name)
    if described is not None:
        click.echo(described)
        return
    registry = loaded(config, as_json=as_json)
    unknown = [provider for provider in down if provider not in registry.providers]
    if unknown:
        stop(f"no provider called {unknown[0]}; there are {', '.join(registry.providers)}.")
    found = resolve(registry, name, context=context, needs=needs, down=down)
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
    if not as_json:
        _show_order(found)


def _show_order(found: Route) -> None:
    for number, tier in enumerate(found.tiers, start=1):
        for d in tier.deployments:
            state = "" if d.resident else "  [loaded by hand]"
            click.echo(
                f"  {number}. {d.provider} / {d.served_as}  "
                f"({d.context_length} tokens, {tier.why}){state}"
            )
    answering = dict.fromkeys(deployment.provider for deployment in found.expected())
    click.echo(f"{found.name}: answered by {' or '.join(answering) or 'nobody'}.")
