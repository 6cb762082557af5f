"""``harness engines --remote URL``: what a user's own endpoint says of itself."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import NoReturn

import click

from harness.cli.options import show_json, stop
from harness.engines.engine import EngineError
from harness.session.remote import Sight, look


def show_remote(
    url: str,
    key_env: str | None,
    dialect: str | None,
    model: str | None,
    *,
    live: bool,
    as_json: bool,
) -> NoReturn:
    """Look at a user's own endpoint, show what was seen, and leave with 0, or 1 if it is broken."""
    try:
        sight = asyncio.run(
            look(
                url,
                dialect=dialect,
                key_variable=key_env,
                model=model,
                live=live,
                environment=os.environ,
            )
        )
    except EngineError as error:
        stop(f"{error.id}: {error}", code=1)
    if as_json:
        show_json(sight.data())
    else:
        _show(sight, key_env)
    sys.exit(1 if sight.broken else 0)


def _show(sight: Sight, key_env: str | None) -> None:
    known = f" ({'; '.join(sight.known_by)})" if sight.known_by else ""
    click.echo(f"{sight.endpoint}  remote: nothing is started or changed there")
    click.echo(f"dialect  {sight.dialect}{known}")
    click.echo(f"version  {sight.version or 'it does not say'}")
    click.echo(f"models   {', '.join(sight.models) or 'none listed'}")
    click.echo(f"reading  {sight.read_ms:.1f} ms for its list of models")
    if not sight.asked:
        click.echo("answers  not asked: that costs money or load. Say --live.")
    elif sight.timing is None:
        click.echo(f"answers  FAIL, {sight.asked}: {sight.broken}")
    else:
        met = sight.timing
        pace = f", then one in {met.tpot_ms:.1f} ms" if met.tpot_ms is not None else ""
        click.echo(
            f"answers  {sight.asked}: {met.tokens} tokens, "
            f"the first after {met.ttft_ms:.1f} ms{pace}; whole"
        )
    key = f" --key-env {key_env}" if key_env else ""
    click.echo(f"next     nox -s contract -- {sight.endpoint}/v1{key}")
