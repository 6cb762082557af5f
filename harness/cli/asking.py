"""``harness live``: the servers the sources name, asked where they really run."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import click

from harness.behaviour.live import Endpoint, endpoints_of, observe_live
from harness.cli.generating import loaded
from harness.cli.options import config_option, json_option, show_json, stop
from harness.engines.remote import remotes
from harness.evidence import Verdict
from harness.wire import RecordingClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.evidence import Evidence
    from harness.registry import Registry
    from harness.wire import Exchange, Request

_MARKS = {Verdict.PASS: "ok  ", Verdict.FAIL: "FAIL", Verdict.NOT_RUN: "----"}


@click.command()
@config_option
@json_option
@click.option(
    "--requests",
    is_flag=True,
    help="Ask each model for one token too, and compare with its health endpoint; those of a "
    "provider elsewhere (base_url) only with --live.",
)
@click.option(
    "--live",
    "may_cost",
    is_flag=True,
    help="Let --requests ask providers elsewhere too, where it costs money or load.",
)
@click.option("--no-gateway", is_flag=True, help="Ask the model servers only.")
@click.option(
    "--timeout", "timeout_s", default=10.0, show_default=True, help="Seconds for one question."
)
def live(
    config: Path,
    as_json: bool,  # noqa: FBT001 - click calls it by name
    requests: bool,  # noqa: FBT001 - likewise
    may_cost: bool,  # noqa: FBT001 - likewise
    no_gateway: bool,  # noqa: FBT001 - likewise
    timeout_s: float,
) -> None:
    """Ask the running servers whether the sources tell the truth.

    Does each server list the model that is configured behind it, and does the gateway list the
    names that are routed? Only `/v1/models` is read unless --requests is given. Keys are taken
    from the environment variables the sources name. Nothing is started.
    """
    if may_cost and not requests:
        stop("--live allows --requests at providers elsewhere: say --requests too.")
    registry = loaded(config, as_json=as_json)
    held_back = set() if may_cost or not requests else set(remotes(registry.providers))
    if held_back:
        click.echo(
            f"only read from: {', '.join(sorted(held_back))}; --live asks them too", err=True
        )
    gateway = None if no_gateway else _gateway(registry, os.environ)
    try:
        found = asyncio.run(
            _ask(
                registry,
                gateway,
                requests=requests,
                held_back=held_back,
                timeout_s=timeout_s,
                tell=(lambda _: None) if as_json else _show,
            )
        )
    except KeyboardInterrupt:
        click.echo("interrupted.", err=True)
        sys.exit(130)
    if as_json:
        show_json([one.model_dump(mode="json", exclude_none=True) for one in found])
    failed = sum(one.verdict is Verdict.FAIL for one in found)
    if not as_json:
        click.echo(f"{len(found)} questions, {failed} failed. `harness explain ID` says more.")
    sys.exit(1 if failed else 0)


async def _ask(
    registry: Registry,
    gateway: Endpoint | None,
    *,
    requests: bool,
    held_back: set[str],
    timeout_s: float,
    tell: Callable[[Evidence], None],
) -> list[Evidence]:
    found = []
    async with RecordingClient(timeout_s=timeout_s) as client:

        async def send(request: Request, labels: Mapping[str, str]) -> Exchange:
            return await client.send(request, labels=labels)

        at = endpoints_of(registry, os.environ)
        read = {name: endpoint for name, endpoint in at.items() if name in held_back}
        asked = {name: endpoint for name, endpoint in at.items() if name not in held_back}
        for observed in (
            observe_live(registry, send, asked, requests=requests),
            observe_live(registry, send, read, gateway, requests=False),
        ):
            async for evidence in observed:
                found.append(evidence)
                tell(evidence)
    return found


def _gateway(registry: Registry, environment: Mapping[str, str]) -> Endpoint:
    host, port = registry.address(registry.gateway.port)
    at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Endpoint(url=f"http://{at}", key=environment.get(registry.gateway.master_key.env))


def _show(one: Evidence) -> None:
    click.echo(f"{_MARKS[one.verdict]}  {one.check:<15} {one.subject}  {one.asked}")
    if one.reason:
        click.echo(f"      {one.reason}")
