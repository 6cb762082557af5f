"""``harness up``: the running whole, held up for other programs."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.measuring import INTERRUPTED
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
from harness.gateway.kinds import kind
from harness.process.child import ProcessError
from harness.process.ports import PortTaken
from harness.registry import Registry, RegistryError, load
from harness.stack import Stack, require
from harness.wire import RecordingClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.stack import Tier

_LOOK_S = 1.0
"""Between two looks at whether everything lives."""


@click.command()
@config_option
@json_option
@tier_option
@click.option("--seed", default=1, show_default=True, help="Same seed, same tokens.")
@click.option("--port", type=int, help="Listen here instead of on a free port.")
@click.option(
    "--env",
    "keys",
    is_flag=True,
    help="Print every key, of the gateway and of each engine, as lines that a shell takes in.",
)
@click.option("--attached", is_flag=True, help="End when standard input is closed.")
def up(
    config: Path,
    as_json: bool,  # noqa: FBT001 - click calls it by name
    tier: Tier,
    seed: int,
    port: int | None,
    keys: bool,  # noqa: FBT001 - likewise
    attached: bool,  # noqa: FBT001 - likewise
) -> None:
    """Hold the real gateway over its engines up until Ctrl-C.

    All keys are made anew at each start and stand in no file. The gateway's is printed once, to
    standard output; with --env those of the engines are too, each under the variable that the
    sources name, so that an engine can be asked itself. Each engine is listed with what it is:
    real, or emulated.
    """
    try:
        registry = load(config)
        kind(registry)
        require(registry, tier)
    except RegistryError as error:
        stop_with(error.findings, as_json=as_json)
    except EngineError as error:
        stop(str(error))
    stood = threading.Event()
    try:
        asyncio.run(
            _hold(
                registry,
                stood,
                as_json=as_json,
                keys=keys,
                tier=tier,
                seed=seed,
                port=port,
                attached=attached,
            )
        )
    except (GatewayError, EngineError, ProcessError, PortTaken) as error:
        stop(str(error), code=1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("stopped.", err=True)
        if not stood.is_set():
            sys.exit(INTERRUPTED)


async def _hold(
    registry: Registry,
    stood: threading.Event,
    *,
    as_json: bool,
    keys: bool,
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
            stood.set()
            _tell(stack, tier, as_json=as_json, keys=keys)
            if attached:
                # Read in a thread of its own: a pipe's end is the caller's end.
                loop.run_in_executor(None, _closed, loop, over)
            await _watched(stack, over)


def _tell(stack: Stack, tier: Tier, *, as_json: bool, keys: bool) -> None:
    """Where everything is, what each engine is, and the keys; to standard output, once."""
    gateway = {"endpoint": stack.gateway.endpoint, "key": stack.gateway.key}
    engines = {
        name: {
            "kind": each.kind,
            "version": each.version,
            "endpoint": each.endpoint,
            "key_env": _variable(stack.registry, name),
        }
        for name, each in (stack.engines | stack.services).items()
    }
    if as_json:
        env = {"env": stack.secrets} if keys else {}
        show_json(gateway | {"tier": tier, "engines": engines} | env)
    else:
        click.echo(f"gateway  {gateway['endpoint']}", err=keys)
        if keys:
            for name, value in stack.secrets.items():
                click.echo(f"export {name}={shlex.quote(value)}")
        else:
            click.echo(f"key      {gateway['key']}")
        for line in _lines(engines):
            click.echo(line, err=True)
        click.echo("Ctrl-C stops everything", err=True)
    sys.stdout.flush()


def _variable(registry: Registry, name: str) -> str | None:
    """The environment variable that the sources name for the key of an engine."""
    provider = registry.providers.get(name)
    return provider.api_key.env if provider and provider.api_key else None


def _lines(engines: Mapping[str, Mapping[str, str | None]]) -> Iterator[str]:
    rows = [
        (
            name,
            *(facts[fact] or "" for fact in ("kind", "endpoint", "version")),
            f"key in {facts['key_env']}" if facts["key_env"] else "",
        )
        for name, facts in engines.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"engine   {'  '.join(cells)}".rstrip()


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
