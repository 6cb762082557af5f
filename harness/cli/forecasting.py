"""``harness forecast``: what a fleet would do under a load, in virtual time."""

from __future__ import annotations

import json
import math
import re
import statistics
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import json_option, show_json, stop
from harness.engines.scheduler import SchedulerError
from harness.engines.scheduler.config import SchedulerConfig
from harness.engines.scheduler.presets import PRESETS, Preset
from harness.engines.scheduler.steptime import step_time_from_json
from harness.load.forecast import QUANTILES, Forecast, Workload, forecast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WIDEST = 5.0
"""Of a spread: lengths then lie a factor of 150 apart already."""
_MOST = 20_000_000
"""Requests of a schedule: some minutes of computing."""
_SPANS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


class _Span(click.ParamType[float]):
    """A time such as 90s, 30m, 24h or 1d."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = _SPAN.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no time: write 90s, 30m, 24h or 1d.", param, ctx)
        return float(found[1]) * _SPANS[found[2] or "s"]


@click.command("forecast")
@click.option(
    "--engine",
    "name",
    default="rtx-5000",
    show_default=True,
    help=f"{', '.join(PRESETS)}, or a file that `harness calibrate` wrote.",
)
@click.option(
    "--replicas",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Engines behind a least-busy balancer.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Requests a second, arriving independently.",
)
@click.option(
    "--duration",
    type=_Span(),
    default="1h",
    show_default=True,
    help="Simulated time: 90s, 30m, 24h, 1d.",
)
@click.option(
    "--prompt",
    "prompt_tokens",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Median tokens of a prompt.",
)
@click.option(
    "--answer",
    "answer_tokens",
    type=click.IntRange(min=1),
    default=250,
    show_default=True,
    help="Median tokens of an answer.",
)
@click.option(
    "--spread",
    type=click.FloatRange(min=0, max=_WIDEST),
    default=0.5,
    show_default=True,
    help="Log-normal spread of both lengths; 0: all equal.",
)
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Schedules with different seeds; the range over them is shown.",
)
@click.option("--seed", default=1, show_default=True, help="Of the first schedule.")
@json_option
def forecast_(
    name: str,
    replicas: int,
    rate: float,
    duration: float,
    prompt_tokens: int,
    answer_tokens: int,
    spread: float,
    runs: int,
    seed: int,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Forecast latency and throughput of a fleet under a load.

    Plays the emulated engine's scheduler (vLLM's continuous batching and paged KV cache) in virtual
    time: a day takes seconds. A preset's step times come from data sheets and are an estimate;
    those of a calibrated engine were measured. Exit code 1: the fleet does not keep up with the
    load.
    """
    engine, front_s = _engine(name)
    if math.isfinite(rate) and rate * duration > _MOST:
        stop(
            f"{rate:g} requests a second for {duration:g} s are {rate * duration:.2g} requests: "
            f"simulate at most {_MOST:,}, with a lower --rate or a shorter --duration"
        )
    played: list[Forecast] = []
    try:
        for number in range(runs):
            workload = Workload(
                rate_per_s=rate,
                duration_s=duration,
                prompt_tokens=prompt_tokens,
                answer_tokens=answer_tokens,
                spread=spread,
                limit=engine.scheduler.max_model_len,
                seed=seed + number,
            )
            if sys.stderr.isatty():
                click.echo(f"schedule {number + 1} of {runs} ...\r", err=True, nl=False)
            played.append(
                forecast(
                    workload, engine.scheduler, engine.step_time, replicas=replicas, front_s=front_s
                )
            )
    except (ValueError, SchedulerError) as error:
        stop(str(error))
    except KeyboardInterrupt:
        click.echo("interrupted.", err=True)
        sys.exit(130)
    keeps_up = all(one.keeps_up for one in played)
    if as_json:
        show_json(
            {"engine": engine.text, "keeps_up": keeps_up, "runs": [asdict(p) for p in played]}
        )
    else:
        _show(engine, played, replicas, keeps_up=keeps_up)
    sys.exit(0 if keeps_up else 1)


def _engine(name: str) -> tuple[Preset, float]:
    """A preset, or what was calibrated, and the time a request spends before its engine."""
    if name in PRESETS:
        preset = PRESETS[name]
        return preset, getattr(preset.step_time, "front_s", 0.0)
    try:
        data = json.loads(Path(name).read_text())["batching"]
        step_time = step_time_from_json(data["step_time"])
        scheduler = SchedulerConfig(**data["scheduler"])
    except OSError as error:
        stop(
            f"{name} is neither a preset ({', '.join(PRESETS)}) nor a file that can be read: "
            f"{error.strerror}."
        )
    except (ValueError, KeyError, TypeError, SchedulerError) as error:
        stop(f"{name} is no calibration: {error}. `harness calibrate --out` writes one.")
    return Preset(scheduler, step_time, f"calibrated, {name}"), getattr(step_time, "front_s", 0.0)


def _show(engine: Preset, played: Sequence[Forecast], replicas: int, *, keeps_up: bool) -> None:
    tokens = engine.scheduler.num_blocks * engine.scheduler.block_size
    click.echo(f"{replicas} x {engine.text}")
    click.echo(
        f"KV cache {tokens:,} tokens each, {tokens / engine.scheduler.max_model_len:.2f} "
        f"requests of {engine.scheduler.max_model_len:,}\n"
    )
    counts: list[tuple[str, Callable[[Forecast], float], str]] = [
        ("requests", lambda one: one.requests, ",.0f"),
        ("generated tokens/s", lambda one: one.tokens_per_s, ",.0f"),
        ("time computing", lambda one: one.utilisation, ".0%"),
        ("KV cache at most", lambda one: one.most_kv_usage, ".0%"),
        ("most waiting", lambda one: one.most_waiting, ",.0f"),
        ("preemptions", lambda one: one.preemptions, ",.0f"),
    ]
    for title, get, form in counts:
        _row(title, [get(one) for one in played], partial(_plain, form))
    for label, field in (("TTFT", "ttft_s"), ("TPOT", "itl_s"), ("E2E", "e2e_s")):
        for q in QUANTILES:
            _row(
                f"{label} p{q * 100:.0f}", [getattr(one, field).get(q, 0) for one in played], _time
            )
    if not keeps_up:
        click.echo(
            "\nThe fleet does not keep up: its queue grows for as long as the load lasts, and the "
            "times with it.",
            err=True,
        )


def _row(title: str, values: list[float], show: Callable[[float], str]) -> None:
    spread = f"  ({show(min(values))} to {show(max(values))})" if len(values) > 1 else ""
    click.echo(f"{title:<20}{show(statistics.median(values)):>10}{spread}")


def _plain(form: str, value: float) -> str:
    return f"{value:{form}}"


def _time(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds * 1000:,.0f} ms"
    return f"{seconds:,.1f} s" if seconds < 3600 else f"{seconds / 3600:,.1f} h"
