"""How commands that measure under load run, are interrupted, and leave."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from harness.cli.options import stop
from harness.engines.engine import EngineError
from harness.evidence import EvidenceError
from harness.gateway.base import GatewayError
from harness.load.journal.journal import JournalError
from harness.load.target import LoadError
from harness.load.workload.prompts import PromptError
from harness.load.workload.tokenizer import TokenizerError
from harness.process.child import ProcessError
from harness.process.ports import PortTaken
from harness.wire import WireError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

T = TypeVar("T")
INTERRUPTED = 130
STOPPERS = (
    LoadError,
    TokenizerError,
    PromptError,
    JournalError,
    EngineError,
    GatewayError,
    ProcessError,
    PortTaken,
    WireError,
    EvidenceError,
)
"""What may end such a command with a sentence of its own."""


async def in_thread(go: Callable[[], T], halt: threading.Event) -> T:
    """Run ``go`` in a thread; Ctrl-C sets ``halt`` and waits for what it returns then."""
    running = asyncio.ensure_future(asyncio.to_thread(go))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        halt.set()
        click.echo("stopping; what was measured is kept.", err=True)
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return await running


def leave(error: Exception, name: str, halt: threading.Event) -> NoReturn:
    """Say what went wrong, by its own id or else ``name``, and leave."""
    stop(f"{getattr(error, 'id', name)}: {error}", code=INTERRUPTED if halt.is_set() else 2)


def place(out: Path, name: str | None, otherwise: str) -> Path:
    """The folder ``name`` under ``out``. Leaves if it is no plain name: it would lie elsewhere."""
    name = otherwise if name is None else name
    if name in {"", ".", ".."} or Path(name).name != name:
        stop(f"load.name: --name {name!r} is no name of a folder: choose the place with --out")
    return out / name


def key_of(variable: str | None) -> str | None:
    """The key in an environment variable; none where none is named. Leaves if it is not set."""
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        stop(f"load.no-key: the variable {variable} is not set or empty")
    return key
