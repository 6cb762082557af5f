"""``harness load share``: what the gateway adds, asked directly and through it in turn."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from harness import answer as answers
from harness.cli.generating import loaded
from harness.cli.load_options import asking_options, model_option
from harness.cli.measuring import INTERRUPTED, STOPPERS, in_thread, key_of, leave, place
from harness.cli.options import config_option, json_option, show_json, stop, tier_option
from harness.cli.own_stack import own_stack
from harness.cli.tables import show_table
from harness.evidence import EVIDENCE_FILE, EvidenceStore, Verdict
from harness.evidence.judgement import worst
from harness.load.comparing.share import by_ledger, judge, limits_of, shares
from harness.load.comparing.turns import take_turns
from harness.load.driving import closed
from harness.load.finding.looking import MOST_UNDER_WAY
from harness.load.goodput import objectives
from harness.load.overview.overview import overview
from harness.load.sampling.sampling import SamplingError, Watch
from harness.load.target import Target, exactly, require_ours
from harness.load.workload.tokenizer import Tokenizer
from harness.report import ReportError
from harness.report.load import write_load_page
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.evidence import Behind, Evidence
    from harness.load.comparing.compare import Run
    from harness.load.comparing.share import Share
    from harness.load.comparing.turns import Turns
    from harness.load.target import Prompts
    from harness.stack import Stack, Tier

_EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1}
_WARM_S, _LEDGER_S = 1.0, 4.0


@dataclass(frozen=True, slots=True)
class _Pair:
    """The same engine, asked directly and through the gateway."""

    direct: Target
    through: Target
    engine: Behind
    told: str
    """The same in words: of several engines which is which, and unknown where nobody said."""
    watches: tuple[Watch, ...] = ()
    stack: Stack | None = None
    """The own one, where its engine keeps a ledger."""

    def exactly(self, tokenizer: Tokenizer) -> _Pair:
        """With prompts of exact counts, where they are asked for."""
        direct, through = (exactly(side, tokenizer) for side in (self.direct, self.through))
        return replace(self, direct=direct, through=through)


@click.command()
@click.option("--gateway", "gateway_url", help="API root of the gateway. Default: an own stack.")
@click.option("--direct", "direct_url", help="API root of the engine behind it.")
@click.option("--direct-model", help="Its name there, if it is another.")
@click.option("--direct-key-env", "direct_key_variable", help="Variable with the engine's own key.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    help="The most that may be added, e.g. 'ttft < 20ms'; may be repeated. Without any it is "
    "measured only.",
)
@click.option("--blocks", type=click.IntRange(3, 1000), default=6, show_default=True)
@click.option(
    "--run-s",
    type=click.FloatRange(min=0, min_open=True),
    default=4.0,
    show_default=True,
    help="Of one of a block's four runs.",
)
@click.option("--users", type=click.IntRange(1, MOST_UNDER_WAY), default=8, show_default=True)
@tier_option
@model_option
@asking_options
@config_option
@json_option
def share(
    gateway_url: str | None,
    direct_url: str | None,
    direct_model: str | None,
    direct_key_variable: str | None,
    limits: tuple[str, ...],
    blocks: int,
    run_s: float,
    users: int,
    tier: Tier,
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
    """Split off what the gateway adds to TTFT, ITL and E2E.

    The same requests go directly to an engine and through the gateway, in blocks of ABBA. Exit
    code 1: a limit is broken; 3: that cannot be said, or the client was not to be believed.
    """
    try:
        bounds = limits_of([one for text in limits for one in objectives(text)])
    except ValueError as error:
        stop(f"load.share: {error}")
    if (gateway_url is None) != (direct_url is None):
        stop("load.share: give --gateway and --direct, or neither for an own stack")
    if gateway_url is not None and model is None:
        stop("load.share: name the --model to ask for")
    halt = threading.Event()
    folder = place(out, name, "share")
    asking = Target(
        base_url="",
        model=model or "",
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        seed=seed,
        prompts=prompts,
    )

    async def measured() -> tuple[list[Share], list[Evidence], str]:
        async with AsyncExitStack() as entered:
            if gateway_url is not None and direct_url is not None:
                direct_key = key_of(direct_key_variable)
                pair = _Pair(
                    direct=replace(
                        asking,
                        base_url=direct_url.rstrip("/"),
                        model=direct_model or asking.model,
                        key=direct_key,
                    ),
                    through=replace(
                        asking, base_url=gateway_url.rstrip("/"), key=key_of(key_variable)
                    ),
                    engine="remote" if live else "none",
                    told="unknown",
                    watches=(_beside(direct_url, direct_key),),
                )
                counting = Tokenizer(direct_url, pair.direct.model, direct_key)
            else:
                own = await entered.enter_async_context(
                    own_stack(loaded(config, as_json=as_json), model=model, tier=tier, seed=seed)
                )
                pair = _Pair(
                    direct=own.direct(asking),
                    through=own.through(asking),
                    engine=own.stack.kind_of(own.name),
                    told=own.engines,
                    watches=(Watch.of(own.engine, key=own.key),),
                    stack=own.stack if own.stack.made_by(own.name) == "emulated" else None,
                )
                counting = own.tokenizer
            counting = counting.elsewhere(tokenizer_url)
            pair = await in_thread(lambda: pair.exactly(counting), halt)
            told = await _measure(pair, folder, bounds, halt, blocks, run_s, users, seed, as_json)
            return (*told, pair.told)

    try:
        for url in (gateway_url, direct_url, tokenizer_url):
            if url is not None:
                require_ours(url, live=live)
        found, evidence, engine = asyncio.run(measured())
    except (*STOPPERS, SamplingError, ReportError, ValueError) as error:
        leave(error, "load.share", halt)
    _show(found, evidence, folder, engine, as_json=as_json)
    sys.exit(INTERRUPTED if halt.is_set() else _EXIT.get(_verdict(evidence), 3))


def _beside(api_root: str, key: str | None) -> Watch:
    """The metrics page of a server, where most have it: beside its API."""
    origin = api_root.rstrip("/").removesuffix("/v1")
    return Watch(name="direct", url=f"{origin}/metrics", key=key)


async def _measure(
    pair: _Pair,
    folder: Path,
    bounds: Mapping[str, float],
    halt: threading.Event,
    blocks: int,
    run_s: float,
    users: int,
    seed: int,
    quiet: bool,  # noqa: FBT001 - one caller, above
) -> tuple[list[Share], list[Evidence]]:
    def note(number: int, run: Run) -> None:
        if not quiet:
            side = "direct" if run.arm == "A" else "gateway"
            doubt = f"  {run.excuse}" if run.excuse else ""
            click.echo(
                f"run {number + 1:>3} of {4 * blocks}  {side:<7}  {len(run.mets)} requests{doubt}",
                err=True,
            )

    def turns() -> Turns:
        return take_turns(
            pair.direct,
            pair.through,
            folder=folder,
            level=float(users),
            whole=True,
            blocks=blocks,
            run_s=run_s,
            engine=pair.told,
            seed=seed,
            stop=halt,
            note=note,
            watches=pair.watches,
        )

    taken = await in_thread(turns, halt)
    found = list(shares(taken.runs))
    if taken.partial:
        found = [replace(each, why=taken.partial) for each in found]
    subject = f"gateway:{pair.through.model}"
    evidence = judge(found, subject=subject, limits=bounds, engine=pair.engine, seed=seed)
    if pair.stack is not None and not halt.is_set():
        evidence.append(await _ledger(pair, pair.stack, subject, bounds, halt, users, seed))
    with EvidenceStore(folder / EVIDENCE_FILE) as store:
        for each in evidence:
            store.append(each)
    write_load_page(folder, overview(folder))
    return found, evidence


async def _ledger(
    pair: _Pair,
    stack: Stack,
    subject: str,
    bounds: Mapping[str, float],
    halt: threading.Event,
    users: int,
    seed: int,
) -> Evidence:
    """What the emulated engine's own ledger says of one more run through the gateway."""
    target = replace(pair.through, seed=seed + 1_000_003)

    def run() -> list[answers.Answer]:
        with LoadEngine() as engine:
            drive = closed(
                engine,
                target.make,
                users=users,
                seconds=_WARM_S + _LEDGER_S,
                stagger_s=_WARM_S,
                seed=seed,
                stop=halt,
            )
        warm_ns = drive.begun_ns + round(_WARM_S * 1e9)
        return [answers.read(each.exchange) for each in drive.recorded if each.due_ns > warm_ns]

    got = await in_thread(run, halt)
    samples = await stack.gateway_share(got)
    return by_ledger(
        samples,
        len(got) - len(samples),
        subject=subject,
        limit_ms=bounds.get("ttft"),
        seed=seed,
    )


def _verdict(evidence: list[Evidence]) -> Verdict:
    kinds = (
        Verdict.INCONCLUSIVE if each.verdict is Verdict.NOT_RUN else each.verdict
        for each in evidence
    )
    return worst(kinds)


def _show(
    found: list[Share], evidence: list[Evidence], folder: Path, engine: str, *, as_json: bool
) -> None:
    if as_json:
        show_json([each.model_dump(mode="json") for each in evidence])
        return
    columns = ("added to", "direct ms", "gateway ms", "added ms", "95 % interval", "n", "verdict")
    sides = {f"load.share.{each.metric}": each for each in found}
    rows = []
    for one in evidence:
        paired = sides.get(one.check)
        rows.append(
            (
                one.check.removeprefix("load.share."),
                _ms(paired.direct_ms if paired else None),
                _ms(paired.through_ms if paired else None),
                _ms(one.value if isinstance(one.value, float) else None),
                "" if one.interval is None else f"{one.interval[0]:+.2f} to {one.interval[1]:+.2f}",
                f"{one.n} {'blocks' if paired else 'answers'}",
                str(one.verdict),
            )
        )
    show_table(columns, rows, left=("added to",))
    for one in evidence:
        if one.reason:
            click.echo(f"{one.check}: {one.reason}")
    click.echo(f"engine: {engine}\n{folder / 'index.html'}")


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
