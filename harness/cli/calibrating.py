"""``harness calibrate``: fit the emulator's step time to a running engine, and say how well."""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from harness.cli.generating import loaded
from harness.cli.options import config_option, json_option, show_json, stop
from harness.cli.tables import show_table
from harness.engines.scheduler import SchedulerError
from harness.load.calibrate import CalibrateError, calibrate, discover
from harness.load.calibrate.calibration import JUDGED
from harness.load.target import LoadError, require_ours
from harness.wire import WireError
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from harness.load.calibrate import Calibration, Comparison

_TIMEOUT_S = 600
_TEXTS = {"throughput": "tokens/s", "ttft_s": "TTFT ms", "e2e_s": "E2E ms"}


@click.command("calibrate")
@click.argument("engine")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the prices and all comparisons there, as JSON.",
)
@click.option(
    "--key-env",
    "key_variable",
    metavar="VAR",
    help="Environment variable that holds the API key.",
)
@click.option("--max-num-seqs", type=click.IntRange(1), default=128, show_default=True)
@click.option("--max-num-batched-tokens", type=click.IntRange(1), default=2048, show_default=True)
@click.option(
    "--async-scheduling/--no-async-scheduling",
    default=None,
    help="Whether it plans a step while another is computed. Default: what explains it better.",
)
@click.option("--repetitions", type=click.IntRange(1), default=3, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--live", is_flag=True, help="Load a server that is not this machine. It costs its owner."
)
@config_option
@json_option
def calibrate_(
    engine: str,
    out: Path | None,
    key_variable: str | None,
    max_num_seqs: int,
    max_num_batched_tokens: int,
    async_scheduling: bool | None,  # noqa: FBT001 - click calls it by name
    repetitions: int,
    seed: int,
    live: bool,  # noqa: FBT001 - click calls it by name
    config: Path,
    as_json: bool,  # noqa: FBT001 - likewise
) -> None:
    """Fit the emulated engine's step times to a running vLLM.

    ENGINE is a URL, or the name of a provider of the sources. It is driven at full load for some
    minutes. A server does not tell --max-num-seqs and --max-num-batched-tokens: give them as it
    was started.
    """
    key = None
    if key_variable is not None:
        key = os.environ.get(key_variable)
        if not key:
            stop(f"calibrate.no-key: the variable {key_variable} is not set or empty")
    url = engine if "://" in engine else _address(engine, config, as_json=as_json)

    if out is not None and not out.parent.is_dir():
        stop(f"--out {out}: there is no folder {out.parent}, and it would be missed at the end")
    try:
        require_ours(url, live=live)
        with LoadEngine(timeout_s=_TIMEOUT_S) as client:
            target = discover(
                client,
                url,
                key=key,
                max_num_seqs=max_num_seqs,
                max_num_batched_tokens=max_num_batched_tokens,
            )
            found = calibrate(
                client,
                target,
                seed=seed,
                repetitions=repetitions,
                async_scheduling=async_scheduling,
                say=lambda text: click.echo(text, err=True),
            )
    except (CalibrateError, SchedulerError) as error:
        stop(f"{error.id}: {error}")
    except LoadError as error:
        stop(f"{'calibrate.url' if error.id == 'load.target-down' else error.id}: {error}")
    except WireError as error:
        stop(f"calibrate.url: {error}")
    document = found.to_json()
    if as_json:
        show_json(document)
    else:
        _show(found)
    if out is not None:
        _write(out, document)


def _write(out: Path, document: dict[str, Any]) -> None:
    try:
        out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        # What took minutes is not thrown away for that.
        show_json(document)
        stop(f"{out} cannot be written: {error.strerror}. What belongs there stands above.", code=1)


def _address(provider: str, config: Path, *, as_json: bool) -> str:
    registry = loaded(config, as_json=as_json)
    if provider not in registry.providers:
        stop(
            f"calibrate.no-provider: no provider is called {provider!r}: there are "
            f"{', '.join(registry.providers)}; or give a URL"
        )
    return registry.origin(provider)


def _show(found: Calibration) -> None:
    rows = [
        (
            each.load.name,
            *(_cell(each, figure) for figure in JUDGED),
            f"{each.predicted.waiting:.1f} {each.measured.waiting:.1f}",
            f"{each.predicted.preemptions:.0f} {each.measured.preemptions:.0f}",
        )
        for each in found.comparisons
    ]
    columns = ("load", *(_TEXTS[figure] for figure in JUDGED), "waiting", "preempted")
    title = f"{found.model}: predicted, measured, error"
    show_table(columns, rows, left=("load",), title=title)
    noise = [each.noise[figure] for each in found.comparisons for figure in each.noise]
    click.echo(
        f"Median error on loads that were not fitted: {found.error:.0%}. "
        f"{found.repetitions} repetitions, interleaved, lay "
        f"{median(noise) if noise else 0:.0%} apart in the median."
    )
    prices = found.prices.to_json()
    click.echo(
        "A step costs "
        + ", ".join(f"{name} {value:.3g}" for name, value in prices.items() if name != "kind")
        + f". Steps are planned {'ahead' if found.config.async_scheduling else 'one at a time'}."
    )


def _cell(each: Comparison, figure: str) -> str:
    scale = 1 if figure == "throughput" else 1000
    predicted, measured = getattr(each.predicted, figure), getattr(each.measured, figure)
    error = each.error(figure)
    shown = "" if error is None else f" {error:.0%}"
    return f"{predicted * scale:.0f} {measured * scale:.0f}{shown}"
