"""The page of a load: one self-contained file, drawn from its journal and its engines' samples."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from harness.evidence import Verdict
from harness.load.overview.staircase import FIGURES
from harness.report import numbers
from harness.report.html import asset
from harness.report.load_levels import SMALL_HEIGHT, level_charts
from harness.report.load_time import HEIGHT, LEFT, RIGHT, TOP, fits, panels
from harness.report.view import Kind, items, verdict_kind, visible
from harness.report.write import ReportError, put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.load.overview.overview import Overview, Watched
    from harness.load.sampling.aligned import Seen
    from harness.report.load_time import Panel
    from harness.statistics import Estimate, Mean

_WORKERS = "workers"
"""The note with what workers said of themselves: histograms, which the evidence sums up."""
_WORST = (Kind.FAIL, Kind.INCONCLUSIVE, Kind.NOT_RUN, Kind.KNOWN, Kind.PASS)


@dataclass(frozen=True, slots=True)
class Group:
    """The panels of one engine."""

    index: int
    watched: Watched | None
    """None where no engine was sampled."""
    panels: tuple[Panel, ...]


def load_page(found: Overview, *, capacity: float | None = None) -> str:
    """The HTML page of a load.

    ``capacity``: how many requests of full length fit the KV cache, to be drawn as a line; unless
    given, what the engine that ran the most says of itself.
    """
    groups = tuple(_groups(found, capacity))
    if capacity is None and groups and groups[0].watched is not None:
        capacity = groups[0].watched.capacity
    records = items(found.evidence)
    overall, word, headline = _verdict(found)
    begun = datetime.fromtimestamp(found.facts.begun_unix_ns / 1e9, UTC)
    return _template().render(
        found=found,
        facts=found.facts,
        engines=found.engines,
        items=records,
        doubts=[each for each in records if each.kind not in (Kind.PASS, Kind.KNOWN)],
        overall=overall,
        word=word,
        headline=headline,
        begun=begun,
        length=_length(found),
        capacity=capacity,
        groups=groups,
        notes={name: said for name, said in found.facts.notes.items() if name != _WORKERS},
        charts=level_charts(found, capacity),
        figures=FIGURES,
        said_by_level=functools.partial(_said_by_level, found),
        top=TOP,
        bottom=TOP + HEIGHT,
        left=LEFT,
        right=RIGHT,
        small=SMALL_HEIGHT,
        Kind=Kind,
        css=Markup(asset("page.css") + asset("load.css")),  # noqa: S704  our own files
    )


def write_load_page(folder: Path, found: Overview, *, capacity: float | None = None) -> Path:
    """Write ``index.html`` into the folder of the load, whole or not at all; its path.

    Raises:
        ReportError: it could not be written.
    """
    try:
        return put(folder / "index.html", load_page(found, capacity=capacity))
    except OSError as error:
        raise ReportError(
            f"{folder / 'index.html'}: the page could not be written ({error.strerror or error}). "
            f"The record of the load is kept; draw it again with `harness load report {folder}`."
        ) from error


def _verdict(found: Overview) -> tuple[Kind, str, str]:
    """What stands at the top: the worst that was judged, and never better than partial."""
    kinds = {verdict_kind(each.verdict) for each in found.evidence}
    if not found.evidence:
        kinds = {Kind.NOT_RUN}
    doubtful = found.facts.partial is not None or found.cut_evidence
    if doubtful:
        kinds = (kinds - {Kind.PASS}) | {Kind.INCONCLUSIVE}
    overall = next(kind for kind in _WORST if kind in kinds)
    tally = dict.fromkeys(Verdict, 0)
    for each in found.evidence:
        tally[each.verdict] += 1
    said = ", ".join(f"{n} {verdict_kind(verdict).word}" for verdict, n in tally.items() if n)
    judged = f"{len(found.evidence)} judged: {said}." if said else "Measured, and not judged."
    if found.facts.partial:
        judged += " Requests are missing."
    word = "not judged" if overall is Kind.NOT_RUN and not found.evidence else overall.word
    return overall, word, judged


def _groups(found: Overview, capacity: float | None) -> Iterator[Group]:
    """What is drawn beside each engine that ran anything, and of the client once."""
    told = [each for each in found.engines if not each.sampled.absent]
    drawn = [each for each in told if each.whole.most_running] or told[:1]
    for index, engine in enumerate(drawn or [None]):
        own = engine.capacity if engine and capacity is None else capacity
        made = panels(found, engine, own, client=index == 0)
        if made:
            yield Group(index, engine, made)


def _said_by_level(found: Overview, engine: Watched) -> Iterator[tuple[str, Seen]]:
    if len(engine.steps) > 1:
        for step, seen in zip(found.staircase.steps, engine.steps, strict=True):
            yield f"{step.load:g}", seen
    yield "all", engine.whole


def _length(found: Overview) -> str:
    if not found.bins:
        return "no request"
    seconds = (found.bins[-1].ended_unix_ns - found.bins[0].begun_unix_ns) / 1e9
    return f"{seconds:.3g} s" if seconds < 600 else f"{seconds / 60:.3g} min"


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    filters: dict[str, Any] = {
        "fits": fits,
        "interval": _interval,
        "maybe": _maybe,
        "measured": numbers.measured,
        "note": lambda value: value if isinstance(value, str) else json.dumps(value, default=str),
        "number": lambda value: f"{value:g}" if value == int(value) else numbers.number(value),
        "percent": _percent,
        "qualified": numbers.qualified,
        "visible": visible,
    }
    environment.filters.update(filters)
    return environment.from_string(asset("load.html.j2"))


def _interval(figure: Estimate | Mean) -> Markup:
    value = numbers.number(figure.value)
    if figure.interval is None:
        return Markup("{}<small>no interval</small><small>n = {}</small>").format(value, figure.n)
    low, high = map(numbers.number, figure.interval)
    return Markup("{}<small>{} to {}</small><small>n = {}</small>").format(
        value, low, high, figure.n
    )


def _maybe(value: float | None) -> str:
    return "" if value is None else numbers.number(float(value))


def _percent(value: float | None) -> str:
    return "not told" if value is None else f"{100 * value:.3g} %"
