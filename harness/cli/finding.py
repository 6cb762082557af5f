"""``harness load find``: the most a target carries."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import click

from harness.cli.generating import loaded
from harness.cli.load_options import ABOVE_0, Share, asking_options, model_option
from harness.cli.loads import show_search, tell
from harness.cli.measuring import INTERRUPTED, STOPPERS, in_thread, key_of, leave, place
from harness.cli.options import config_option, json_option, show_json, stop
from harness.cli.own_stack import own_stack
from harness.load.finding.finding import find as search
from harness.load.finding.search import Plan
from harness.load.goodput import objectives
from harness.load.profiles import targets_of
from harness.load.target import Target, exactly, require_ours
from harness.load.workload.tokenizer import Tokenizer
from harness.stack import TIERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.load.finding.finding import Search
    from harness.load.target import Prompts
    from harness.stack import Tier

T = TypeVar("T")


@click.command()
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
@click.option(
    "--min", "least", type=ABOVE_0, default=1.0, show_default=True, help="The lowest level."
)
@click.option(
    "--max", "most", type=ABOVE_0, default=256.0, show_default=True, help="The highest level."
)
@click.option(
    "--resolution", type=Share(), default="10%", show_default=True, help="How far apart levels are."
)
@click.option(
    "--confidence", type=Share(), default="95%", show_default=True, help="That the result is right."
)
@click.option("--stretch-s", type=ABOVE_0, default=8.0, show_default=True, hidden=True)
@click.option(
    "--budget-s", type=ABOVE_0, default=600.0, show_default=True, help="Seconds of load at most."
)
@model_option
@asking_options
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
    prompts: Prompts,
    tokenizer_url: str | None,
    answer_tokens: int,
    key_variable: str | None,
    live: bool,  # noqa: FBT001 - click calls it by name
    name: str | None,
    out: Path,
    seed: int,
    config: Path,
    as_json: bool,  # noqa: FBT001 - likewise
) -> None:
    """Find the highest rate, or most users, that keep an SLO.

    The knee before it is found too. Each level is measured until its figure's interval excludes
    the limit, and cut short where it is broken beyond doubt; both ends of the result were measured
    twice, at different times. A rate is on for longer than an answer takes before it is measured,
    and none holds while a queue still grows: an SLO of itl, tpot or stall alone, which no queue
    breaks, finds no end. Every visit is kept: the same command goes on where Ctrl-C stopped it.
    Exit code 1: not even --min holds; 3: not decided with this budget.
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

    asking = Target(
        base_url="",
        model=model or "",
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        seed=seed,
        prompts=prompts,
    )

    def go(target: Target, tokenizer: Tokenizer, engine: str) -> Search:
        plain = re.sub(r"[^\w.-]", "-", target.model)
        return search(
            plan,
            exactly(target, tokenizer),
            folder=place(out, name, f"find-{by}-{plain}"),
            engine=engine,
            where=url or f"an own stack, {tier}",
            seed=seed,
            stop=halt,
            note=(lambda _: None) if as_json else (lambda visit: tell(visit, plan)),
        )

    result = _against(
        url,
        asking,
        go,
        halt,
        tokenizer_url=tokenizer_url,
        key_variable=key_variable,
        live=live,
        config=config,
        tier=tier,
        as_json=as_json,
    )
    if as_json:
        show_json(result.to_json())
    else:
        show_search(result)
    sys.exit(INTERRUPTED if result.interrupted else result.exit_code)


def _against(
    url: str | None,
    asking: Target,
    go: Callable[[Target, Tokenizer, str], T],
    halt: threading.Event,
    *,
    tokenizer_url: str | None,
    key_variable: str | None,
    live: bool,
    config: Path,
    tier: Tier,
    as_json: bool,
) -> T:
    """Run ``go`` against a URL, or against an own stack that lives as long as it does."""

    async def hold() -> T:
        if url is not None:
            named = asking.model or targets_of(loaded(config, as_json=as_json))[0].name
            target = replace(
                asking, base_url=url.rstrip("/"), model=named, key=key_of(key_variable)
            )
            own = Tokenizer(target.base_url, named, target.key)
            counting = own.elsewhere(tokenizer_url)
            return await in_thread(lambda: go(target, counting, "unknown"), halt)
        registry = loaded(config, as_json=as_json)
        model, seed = asking.model or None, asking.seed
        async with own_stack(registry, model=model, tier=tier, seed=seed) as stood:
            through, kind = stood.through(asking), stood.engines
            counting = stood.tokenizer.elsewhere(tokenizer_url)
            return await in_thread(lambda: go(through, counting, kind), halt)

    try:
        for each in (url, tokenizer_url):
            if each is not None:
                require_ours(each, live=live)
        return asyncio.run(hold())
    except STOPPERS as error:
        leave(error, "load.find", halt)
    except KeyboardInterrupt:
        click.echo("interrupted before anything was measured.", err=True)
        sys.exit(INTERRUPTED)
