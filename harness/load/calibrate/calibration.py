"""A calibration as a whole: measured in rounds, fitted, and judged on loads it has not seen."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from harness.load.calibrate.fitting import DISTRIBUTIONS, fit, predict
from harness.load.calibrate.loads import plan_loads
from harness.load.calibrate.measuring import Measured, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.engines.scheduler import SchedulerConfig
    from harness.load.calibrate.fitting import Prices
    from harness.load.calibrate.loads import Load
    from harness.load.calibrate.measuring import Target
    from harness.wire.engine import LoadEngine

JUDGED = ("throughput", "ttft_s", "e2e_s")
"""Figures whose error a calibration is judged by."""
_FIGURES = ("throughput", "ttft_s", "itl_s", "e2e_s", "waiting", "preemptions")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One load: what it met, what was predicted, and how much its repetitions differ."""

    load: Load
    measured: Measured
    """Medians over the repetitions."""
    predicted: Measured
    noise: dict[str, float]
    """(largest - smallest) / median over the repetitions, by figure."""

    def error(self, figure: str) -> float | None:
        """|predicted - measured| / measured; None where nothing was measured."""
        measured = getattr(self.measured, figure)
        if not measured:
            return None
        return float(abs(getattr(self.predicted, figure) - measured) / measured)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The prices, and how well they predict."""

    url: str
    model: str
    config: SchedulerConfig
    prices: Prices
    comparisons: tuple[Comparison, ...]
    seed: int
    repetitions: int

    def median_error(self, figure: str, *, held_out: bool = True) -> float | None:
        """The median over the loads; None if no load has this figure."""
        errors = [
            error
            for each in self.comparisons
            if each.load.held_out is held_out and (error := each.error(figure)) is not None
        ]
        return median(errors) if errors else None

    @property
    def error(self) -> float:
        """The median over all judged figures of all held-out loads."""
        return median(
            error
            for each in self.comparisons
            if each.load.held_out
            for figure in JUDGED
            if (error := each.error(figure)) is not None
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data; ``batching`` is what an emulator's specification takes."""
        return {
            "url": self.url,
            "model": self.model,
            "seed": self.seed,
            "repetitions": self.repetitions,
            "batching": {
                "scheduler": self.config.to_json(),
                "step_time": self.prices.to_json(),
            },
            "held_out_error": {"all": self.error}
            | {figure: self.median_error(figure) for figure in _FIGURES},
            "loads": [
                {
                    "name": each.load.name,
                    "concurrency": each.load.concurrency,
                    "requests": len(each.load.requests),
                    "held_out": each.load.held_out,
                    "measured": _figures(each.measured),
                    "predicted": _figures(each.predicted),
                    "error": {figure: each.error(figure) for figure in _FIGURES},
                    "noise": each.noise,
                }
                for each in self.comparisons
            ],
        }


def calibrate(
    engine: LoadEngine,
    target: Target,
    *,
    seed: int = 0,
    repetitions: int = 3,
    concurrencies: Sequence[int] = (1, 4, 16, 32, 64),
    async_scheduling: bool | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Calibration:
    """Measure ``target``, fit its prices, and compare.

    All loads are played once, then all again: what drifts on the machine meanwhile meets each of
    them. A server does not tell whether it plans a step while another is computed; where
    ``async_scheduling`` does not say either, what explains the measurements better is taken.
    Raises CalibrateError.
    """
    loads = plan_loads(target.config, seed=seed, concurrencies=concurrencies)
    runs: dict[str, list[Measured]] = {load.name: [] for load in loads}
    widest = max(loads, key=lambda load: load.concurrency)
    for repetition in range(repetitions + 1):
        for load in loads if repetition else (loads[0], widest):  # the first only warms it up
            met = measure(engine, target, load, seed=f"{seed} {load.name} {repetition}")
            if repetition:
                runs[load.name].append(met)
                say(f"{repetition}/{repetitions} {load.name}: {met.throughput:.0f} tokens/s")
    say("fitting")
    return judge(target, loads, runs, seed=seed, async_scheduling=async_scheduling)


def judge(
    target: Target,
    loads: Sequence[Load],
    runs: Mapping[str, Sequence[Measured]],
    *,
    seed: int = 0,
    async_scheduling: bool | None = None,
) -> Calibration:
    """Fit the loads that are there for it, and compare all; ``runs`` holds the repetitions."""
    middles = {name: _middle(each) for name, each in runs.items()}
    spreads = {name: _noise(each) for name, each in runs.items()}
    ways = (True, False) if async_scheduling is None else (async_scheduling,)
    config, prices = fit(
        [replace(target.config, async_scheduling=ahead) for ahead in ways],
        [(load, middles[load.name], spreads[load.name]) for load in loads if not load.held_out],
    )
    comparisons = tuple(
        Comparison(
            load,
            middles[load.name],
            predict(config, prices, load, middles[load.name]),
            spreads[load.name],
        )
        for load in loads
    )
    repetitions = max(len(each) for each in runs.values())
    return Calibration(target.url, target.model, config, prices, comparisons, seed, repetitions)


def _middle(runs: Sequence[Measured]) -> Measured:
    numbers = {figure: median(getattr(each, figure) for each in runs) for figure in _FIGURES}
    deciles = {
        name: tuple(median(column) for column in zip(*tables, strict=True))
        for name in DISTRIBUTIONS.values()
        for tables in [[getattr(each, name) for each in runs]]
    }
    middle: dict[str, Any] = {**numbers, **deciles}
    steps = tuple(step for each in runs for step in each.steps)
    return replace(runs[0], **middle, steps=steps)


def _noise(runs: Sequence[Measured]) -> dict[str, float]:
    noise = {}
    for figure in _FIGURES:
        values = [getattr(each, figure) for each in runs]
        if median(values):
            noise[figure] = (max(values) - min(values)) / median(values)
    return noise


def _figures(measured: Measured) -> dict[str, float]:
    figures = asdict(replace(measured, requests=(), ahead=None, steps=()))
    del figures["requests"], figures["ahead"], figures["steps"]
    return figures
