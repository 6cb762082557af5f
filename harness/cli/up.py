"""``harness up``: the running whole, held up for other programs."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import (
    config_option,
    json_option,
    show_json,
    stop,
    stop_with,
    tier_option,
)
from harness.engines.engine import EngineError
from harness.gateway.base import GatewayError
from harness.process.child import ProcessError
from harness.process.ports import PortTaken
from harness.registry import Registry, RegistryError, load
from harness.stack import Stack, require
from harness.wire import RecordingClient

if TYPE_CHECKING:
    from harness.stack import Tier

_LOOK_S = 1.0
"""Between two looks at whether everything lives."""


@click.command()
@config_option
@json_option
@tier_option
@click.option("--seed", default=1, show_default=True, help="Same seed, same tokens.")
@click.option("--port", type=int, help="Listen here instead of on a free port.")
@click.option("--attached", is_flag=True, help="End when standard input is closed.")
def up(
    config: Path,
    as_json: bool,  # noqa: FBT001 - click calls it by name
    tier: Tier,
    seed: int,
    port: int | None,
    attached: bool,  # noqa: FBT001 - likewise
) -> None:
    """Start the real gateway over emulated or real engines and keep them until Ctrl-C.

    The gateway's key is made anew at each start and printed once, to standard output. Each engine
    is listed with what it is: real, or emulated.
    """
    try:
        registry = load(config)
        require(registry, tier)
    except RegistryError as error:
        stop_with(error.findings, as_json=as_json)
    except EngineError as error:
        stop(str(error))
    try:
        asyncio.run(
            _hold(registry, as_json=as_json, tier=tier, seed=seed, port=port, attached=attached)
        )
    except (GatewayError, EngineError, ProcessError, PortTaken) as error:
        stop(str(error), code=1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("stopped.", err=True)


async def _hold(
    registry: Registry,
    *,
    as_json: bool,
    tier: Tier,
    seed: int,
    port: int | None,
    attached: bool,
) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, over.set)
    if tier == "full":
        click.echo("starting; vLLM takes about a minute", err=True)
    with tempfile.TemporaryDirectory(prefix="harness-up-") as folder:
        async with (
            RecordingClient() as client,
            Stack(
                registry, client=client, directory=Path(folder), seed=seed, tier=tier, port=port
            ) as stack,
        ):
            _tell(stack, tier, as_json=as_json)
            if attached:
                # Read in a thread of its own: a pipe's end is the caller's end.
                loop.run_in_executor(None, _closed, loop, over)
            await _watched(stack, over)


def _tell(stack: Stack, tier: Tier, *, as_json: bool) -> None:
    """Where everything is, and what each engine is."""
    gateway = {"endpoint": stack.gateway.endpoint, "key": stack.gateway.key}
    engines = {
        name: {"kind": each.kind, "version": each.version, "endpoint": each.endpoint}
        for name, each in (stack.engines | stack.services).items()
    }
    if as_json:
        show_json(gateway | {"tier": tier, "engines": engines})
    else:
        click.echo(f"gateway  {gateway['endpoint']}\nkey      {gateway['key']}")
        widths = [
            max(map(len, column)) for column in zip(*map(_cells, engines.items()), strict=True)
        ]
        for cells in map(_cells, engines.items()):
            line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            click.echo(f"engine   {line}".rstrip(), err=True)
        click.echo("Ctrl-C stops everything", err=True)
    sys.stdout.flush()


def _cells(engine: tuple[str, dict[str, str]]) -> tuple[str, str, str, str]:
    name, facts = engine
    return name, facts["kind"], facts["endpoint"], facts["version"]


async def _watched(stack: Stack, over: asyncio.Event) -> None:
    """Return once it is over; whatever dies until then is named, with its last lines."""
    told: set[str] = set()
    while not over.is_set():
        for name, tail in stack.casualties().items():
            if name not in told:
                told.add(name)
                click.echo(f"{name} died; the rest goes on. Its last lines:\n{tail}", err=True)
        try:
            async with asyncio.timeout(_LOOK_S):
                await over.wait()
        except TimeoutError:
            continue


def _closed(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    sys.stdin.read()
    loop.call_soon_threadsafe(over.set)
