"""``harness load compare``: whether one target is worse than another."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.load_options import ABOVE_0, Share, asking_options
from harness.cli.loads import show_judgement, tell_run
from harness.cli.measuring import INTERRUPTED, STOPPERS, in_thread, key_of, leave, place
from harness.cli.options import json_option, show_json, stop
from harness.evidence import EVIDENCE_FILE, EvidenceStore, Verdict
from harness.load.comparing.compare import METRICS, SCHEDULED, THROUGHPUT, judge
from harness.load.comparing.judged import evidence_of
from harness.load.comparing.replay import REPLAYS
from harness.load.comparing.turns import Turns, recorded, side, take_turns
from harness.load.finding.looking import MOST_UNDER_WAY
from harness.load.profiles.profile import MOST_RATE
from harness.load.target import Target, exactly, require_ours
from harness.load.workload.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Collection

    from harness.load.target import Prompts

_EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1}


@click.command()
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
@click.option(
    "--users", type=click.IntRange(1, MOST_UNDER_WAY), help="Keep so many busy. [default: 8]"
)
@click.option("--rate", type=ABOVE_0, help="Requests a second instead.")
@click.option("--model", help="The name to ask both for.")
@asking_options
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
    prompts: Prompts,
    tokenizer_url: str | None,
    answer_tokens: int,
    key_variable: str | None,
    live: bool,  # noqa: FBT001 - click calls it by name
    name: str | None,
    out: Path,
    seed: int,
    as_json: bool,  # noqa: FBT001 - likewise
) -> None:
    """Judge whether B is worse than A.

    Exit code 0: it is not; 1: it is; 3: that cannot be said.

    A and B are two API roots (http://HOST:PORT/v1), which are loaded in turn in blocks of ABBA; or
    the folders of two recorded loads; or A alone is the folder of an earlier comparison, judged
    again. Printed with the verdict: how often the same procedure, replayed from what it measured,
    alarms on equal settings and finds a true 10 % (twice --min-effect where that is more).

    Throughput is that of users who wait for their answers; with --rate it is what was asked for,
    and is left out.
    """
    halt = threading.Event()

    def measured() -> Turns:
        _require_one_load(users, rate, metrics)
        if model is None:
            stop("load.compare: name the --model to ask both for")
        key = key_of(key_variable)
        targets = []
        for url in (a, str(b)):
            require_ours(url, live=live)
            target = Target(
                base_url=url.rstrip("/"),
                model=model,
                key=key,
                prompt_tokens=prompt_tokens,
                answer_tokens=answer_tokens,
                seed=seed,
                prompts=prompts,
            )
            counting = Tokenizer(target.base_url, model, key)
            targets.append(exactly(target, counting.elsewhere(tokenizer_url)))
        return take_turns(
            *targets,
            folder=place(out, name, "compare"),
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
        turns = _turns(a, b) or asyncio.run(in_thread(measured, halt))
        judgement = judge(
            turns.runs,
            minimum_effect=minimum,
            more_failures=more_failures,
            metrics=metrics or METRICS,
            confidence=confidence,
            replays=replays,
            seed=seed,
            partial=turns.partial,
        )
        if "://" in a:
            records = evidence_of(
                judgement,
                subject=f"load:{model}",
                minimum=minimum,
                more_failures=more_failures,
                seed=seed,
            )
            with EvidenceStore(place(out, name, "compare") / EVIDENCE_FILE) as store:
                for each in records:
                    store.append(each)
    except (*STOPPERS, ValueError) as error:
        leave(error, "load.compare", halt)
    if as_json:
        show_json(judgement.to_json())
    else:
        show_judgement(judgement)
    sys.exit(INTERRUPTED if halt.is_set() else _EXIT.get(judgement.verdict, 3))


def _require_one_load(users: int | None, rate: float | None, metrics: Collection[str]) -> None:
    if users and rate:
        stop("load.compare: give --users or --rate, not both")
    if rate and rate > MOST_RATE:
        stop(f"load.compare: {rate:g} requests a second: give at most {MOST_RATE:g}")
    if rate and set(metrics) == {THROUGHPUT}:
        stop(f"load.compare: {SCHEDULED}")


def _turns(a: str, b: str | None) -> Turns | None:
    """What was recorded; None where two targets are to be measured."""
    urls = ["://" in one for one in (a, b) if one is not None]
    if b is None and not any(urls):
        return recorded(Path(a))
    if b is not None and not any(urls):
        return Turns((side(Path(a), "A"), side(Path(b), "B")))
    if len(urls) < 2 or not all(urls):
        stop("load.compare: give two URLs, two folders of records, or one of a comparison")
    return None
