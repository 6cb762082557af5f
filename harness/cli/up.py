"""``harness up``: the running whole, held up for other programs."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from pathlib import Path

import click

from harness.cli.options import config_option, json_option, show_json, stop, stop_with
from harness.engines.engine import EngineError
from harness.gateway.base import GatewayError
from harness.process.child import ProcessError
from harness.process.ports import PortTaken
from harness.registry import Registry, RegistryError, load
from harness.stack import Stack
from harness.wire import RecordingClient


@click.command()
@config_option
@json_option
@click.option("--seed", default=1, show_default=True, help="Same seed, same tokens.")
@click.option("--port", type=int, help="Listen here instead of on a free port.")
@click.option("--attached", is_flag=True, help="End when standard input is closed.")
def up(config: Path, as_json: bool, seed: int, port: int | None, attached: bool) -> None:  # noqa: FBT001 - click calls it by name
    """Start the real gateway over emulated engines and keep them until Ctrl-C.

    The gateway's key is made anew at each start and printed once, to standard output.
    """
    try:
        asyncio.run(_hold(load(config), as_json=as_json, seed=seed, port=port, attached=attached))
    except RegistryError as error:
        stop_with(error.findings, as_json=as_json)
    except (GatewayError, EngineError, ProcessError, PortTaken) as error:
        stop(str(error), code=1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("stopped.", err=True)


async def _hold(
    registry: Registry, *, as_json: bool, seed: int, port: int | None, attached: bool
) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, over.set)
    with tempfile.TemporaryDirectory(prefix="harness-up-") as folder:
        async with (
            RecordingClient() as client,
            Stack(registry, client=client, directory=Path(folder), seed=seed, port=port) as stack,
        ):
            facts = {"endpoint": stack.gateway.endpoint, "key": stack.gateway.key}
            if as_json:
                show_json(facts)
            else:
                click.echo(f"gateway  {facts['endpoint']}\nkey      {facts['key']}")
                click.echo("engines  emulated; Ctrl-C stops everything", err=True)
            sys.stdout.flush()
            if attached:
                # Read in a thread of its own: a pipe's end is the caller's end.
                loop.run_in_executor(None, _closed, loop, over)
            await over.wait()


def _closed(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    sys.stdin.read()
    loop.call_soon_threadsafe(over.set)
