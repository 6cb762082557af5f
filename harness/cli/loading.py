"""``harness load``: loads that are judged: the most a target carries, and whether it got worse."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from harness.cli.generating import loaded
from harness.cli.load_options import (
    ABOVE_0,
    Share,
    answer_option,
    key_option,
    live_option,
    model_option,
    name_option,
    out_option,
    prompt_option,
    seed_option,
)
from harness.cli.loads import show_judgement, show_search, tell, tell_run
from harness.cli.options import config_option, json_option, show_json, stop
from harness.engines.engine import EngineError
from harness.evidence import Verdict
from harness.gateway.base import GatewayError
from harness.load.comparing.compare import METRICS, judge
from harness.load.comparing.replay import REPLAYS
from harness.load.comparing.turns import recorded, side, take_turns
from harness.load.finding.finding import find as search
from harness.load.finding.search import Plan
from harness.load.goodput import objectives
from harness.load.journal.journal import JournalError
from harness.load.playing import LoadError, Target, require_ours
from harness.load.profiles import targets_of
from harness.process.child import ProcessError
from harness.process.ports import PortTaken
from harness.stack import TIERS, Stack
from harness.wire import RecordingClient, WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.comparing.compare import Run
    from harness.load.finding.finding import Search
    from harness.stack import Tier

T = TypeVar("T")
INTERRUPTED = 130
_EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1}
STOPPERS = (LoadError, JournalError, EngineError, GatewayError, ProcessError, PortTaken, WireError)


@click.group("load")
def load_() -> None:
    """Load a target and judge it: how much it carries, and whether it got worse."""


@load_.command()
@click.option(
    "--slo",
    "slos",
    multiple=True,
    required=True,
    help="What must hold, e.g. 'p95 ttft < 500ms'; may be repeated, and all must hold.",
)
@click.option("--target", "url", help="API root (http://HOST:PORT/v1). Default: an own stack.")
@click.option(
    "--engines",
    "tier",
    type=click.Choice(TIERS),
    default=TIERS[0],
    show_default=True,
    help="Of the own stack: see `harness run`.",
)
@click.option(
    "--by",
    type=click.Choice(["rate", "users"]),
    default="rate",
    show_default=True,
    help="Requests a second that arrive independently, or users who wait for their answers.",
)
@click.option("--min", "least", type=ABOVE_0, default=1.0, show_default=True)
@click.option("--max", "most", type=ABOVE_0, default=256.0, show_default=True)
@click.option(
    "--resolution", type=Share(), default="10%", show_default=True, help="From level to level."
)
@click.option(
    "--confidence", type=Share(), default="95%", show_default=True, help="In the bracket."
)
@click.option("--stretch-s", type=ABOVE_0, default=8.0, show_default=True, hidden=True)
@click.option("--budget-s", type=ABOVE_0, default=600.0, show_default=True, help="Load at most.")
@model_option
@prompt_option
@answer_option
@key_option
@live_option
@name_option
@out_option
@seed_option
@config_option
@json_option
def find(
    slos: tuple[str, ...],
    url: str | None,
    tier: Tier,
    by: str,
    least: float,
    most: float,
    resolution: float,
    confidence: float,
    stretch_s: float,
    budget_s: float,
    model: str | None,
    prompt_tokens: int,
    answer_tokens: int,
    key_variable: str | None,
    live: bool,  # noqa: FBT001 - click calls it by name
    name: str | None,
    out: Path,
    seed: int,
    config: Path,
    as_json: bool,  # noqa: FBT001 - likewise
) -> None:
    """Find the highest rate, or the most users, that keep an SLO, and the knee before it.

    Each level is measured until its figure's interval excludes the limit; both ends of the result
    were measured twice, at different times. Every visit is kept: the same command goes on where
    Ctrl-C stopped it. Exit code 1: not even --min holds; 3: not decided with this budget.
    """
    try:
        plan = Plan(
            slo=tuple(one for text in slos for one in objectives(text)),
            least=least,
            most=most,
            resolution=resolution,
            confidence=confidence,
            whole=by == "users",
            stretch_s=min(stretch_s, budget_s),
            budget_s=budget_s,
        )
    except ValueError as error:
        stop(f"load.find: {error}")
    halt = threading.Event()

    def go(base_url: str, key: str | None, served: str, engine: str) -> Search:
        target = Target(
            base_url=base_url,
            model=served,
            key=key,
            prompt_tokens=prompt_tokens,
            answer_tokens=answer_tokens,
            seed=seed,
        )
        plain = re.sub(r"[^\w.-]", "-", served)
        folder = out / (name or f"find-{by}-{plain}")
        note = (lambda _: None) if as_json else (lambda visit: tell(visit, plan))
        return search(plan, target, folder=folder, engine=engine, seed=seed, stop=halt, note=note)

    result = _against(
        url,
        go,
        halt,
        model=model,
        key_variable=key_variable,
        live=live,
        config=config,
        tier=tier,
        seed=seed,
        as_json=as_json,
    )
    if as_json:
        show_json(result.to_json())
    else:
        show_search(result)
    sys.exit(INTERRUPTED if result.interrupted else result.exit_code)


@load_.command()
@click.argument("a")
@click.argument("b", required=False)
@click.option(
    "--min-effect",
    "minimum",
    type=Share(),
    default="5%",
    show_default=True,
    help="What is worth a failure, of every figure but the failures.",
)
@click.option(
    "--more-failures",
    type=Share(),
    default="2%",
    show_default=True,
    help="The same for the share of requests that fail: an absolute difference.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    type=click.Choice(METRICS),
    help="Judge this figure only; may be repeated. Fewer figures find more.",
)
@click.option("--confidence", type=Share(), default="98%", show_default=True)
@click.option("--replays", type=click.IntRange(200, 100_000), default=REPLAYS, show_default=True)
@click.option("--blocks", type=click.IntRange(3, 1000), default=8, show_default=True)
@click.option(
    "--run-s", type=ABOVE_0, default=4.0, show_default=True, help="Of one of a block's four runs."
)
@click.option("--users", type=click.IntRange(1, 100_000), help="Keep so many busy. [default: 8]")
@click.option("--rate", type=ABOVE_0, help="Requests a second instead.")
@model_option
@prompt_option
@answer_option
@key_option
@live_option
@name_option
@out_option
@seed_option
@json_option
def compare(
    a: str,
    b: str | None,
    minimum: float,
    more_failures: float,
    metrics: tuple[str, ...],
    confidence: float,
    replays: int,
    blocks: int,
    run_s: float,
    users: int | None,
    rate: float | None,
    model: str | None,
    prompt_tokens: int,
    answer_tokens: int,
    key_variable: str | None,
    live: bool,  # noqa: FBT001 - click calls it by name
    name: str | None,
    out: Path,
    seed: int,
    as_json: bool,  # noqa: FBT001 - likewise
) -> None:
    """Judge whether B is worse than A: exit code 0 it is not, 1 it is, 3 that cannot be said.

    A and B are two API roots (http://HOST:PORT/v1), which are loaded in turn in blocks of ABBA; or
    the folders of two recorded loads; or A alone is the folder of an earlier comparison, judged
    again. Printed with the verdict: how often the same procedure, replayed from what it measured,
    alarms on equal settings and finds a true 10 %.
    """
    halt = threading.Event()

    def measured() -> tuple[Run, ...]:
        if users and rate:
            stop("load.compare: give --users or --rate, not both")
        if model is None:
            stop("load.compare: name the --model to ask both for")
        key = key_of(key_variable)
        targets = []
        for url in (a, str(b)):
            require_ours(url, live=live)
            targets.append(
                Target(
                    base_url=url.rstrip("/"),
                    model=model,
                    key=key,
                    prompt_tokens=prompt_tokens,
                    answer_tokens=answer_tokens,
                    seed=seed,
                )
            )
        return take_turns(
            *targets,
            folder=out / (name or "compare"),
            level=rate or float(users or 8),
            whole=rate is None,
            blocks=blocks,
            run_s=run_s,
            engine="unknown",
            seed=seed,
            stop=halt,
            note=lambda number, run: tell_run(number, run, 4 * blocks, quiet=as_json),
        )

    try:
        runs = _runs(a, b) or asyncio.run(in_thread(measured, halt))
        judgement = judge(
            runs,
            minimum_effect=minimum,
            more_failures=more_failures,
            metrics=metrics or METRICS,
            confidence=confidence,
            replays=replays,
            seed=seed,
        )
    except STOPPERS as error:
        stop(f"{getattr(error, 'id', 'load.compare')}: {error}")
    except ValueError as error:
        stop(f"load.compare: {error}", code=INTERRUPTED if halt.is_set() else 2)
    if as_json:
        show_json(judgement.to_json())
    else:
        show_judgement(judgement)
    sys.exit(INTERRUPTED if halt.is_set() else _EXIT.get(judgement.verdict, 3))


def _runs(a: str, b: str | None) -> tuple[Run, ...]:
    """What was recorded; nothing where two targets are to be measured."""
    urls = ["://" in one for one in (a, b) if one is not None]
    if b is None and not any(urls):
        return recorded(Path(a))
    if b is not None and not any(urls):
        return (side(Path(a), "A"), side(Path(b), "B"))
    if len(urls) < 2 or not all(urls):
        stop("load.compare: give two URLs, two folders of records, or one of a comparison")
    return ()


def _against(
    url: str | None,
    go: Callable[[str, str | None, str, str], T],
    halt: threading.Event,
    *,
    model: str | None,
    key_variable: str | None,
    live: bool,
    config: Path,
    tier: Tier,
    seed: int,
    as_json: bool,
) -> T:
    """Run ``go`` against a URL, or against an own stack that lives as long as it does."""
    registry = loaded(config, as_json=as_json) if url is None or model is None else None

    async def hold() -> T:
        async with AsyncExitStack() as entered:
            if model is not None:
                served = model
            else:
                assert registry is not None  # noqa: S101 - loaded just above
                served = targets_of(registry)[0].name
            if url is not None:
                base_url, key, kind = url.rstrip("/"), key_of(key_variable), "unknown"
            else:
                assert registry is not None  # noqa: S101 - loaded just above
                folder = entered.enter_context(tempfile.TemporaryDirectory(prefix="harness-load-"))
                client = await entered.enter_async_context(RecordingClient())
                stack = await entered.enter_async_context(
                    Stack(registry, client=client, directory=Path(folder), seed=seed, tier=tier)
                )
                base_url, key, kind = stack.api_base, stack.gateway.key, str(stack.kind)
            return await in_thread(lambda: go(base_url, key, served, kind), halt)

    try:
        if url is not None:
            require_ours(url, live=live)
        return asyncio.run(hold())
    except STOPPERS as error:
        stop(f"{getattr(error, 'id', 'load.find')}: {error}")
    except KeyboardInterrupt:
        click.echo("interrupted; what was measured so far is kept.", err=True)
        sys.exit(INTERRUPTED)


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


def key_of(variable: str | None) -> str | None:
    """The key in an environment variable; none where none is named. Leaves if it is not set."""
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        stop(f"load.no-key: the variable {variable} is not set or empty")
    return key
