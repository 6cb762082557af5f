"""Facts that need no traffic: of data sheets, of sources, of evidence that an earlier run left."""

from __future__ import annotations

import math
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from harness.claims import Fact
from harness.claims.claim import (
    Counted,
    Exported,
    Planned,
    Recorded,
    Roofline,
    Stated,
    Unmeasured,
)
from harness.engines.scheduler import steptime
from harness.engines.scheduler.plan import StepPlan
from harness.engines.scheduler.presets import preset
from harness.engines.scheduler.sequence import Sequence
from harness.evidence import EVIDENCE_FILE, EvidenceError, Verdict, read, read_run
from harness.gateway.litellm_lint.metrics import exporters
from harness.load.capacity.arithmetic import Ask, Fit, fit
from harness.load.capacity.catalogue import card, model
from harness.load.capacity.geometry import GIB, CapacityError

if TYPE_CHECKING:
    from pathlib import Path

    from harness.evidence import Evidence
    from harness.registry import Registry
    from harness.registry.models import Source


def plain_fact(measure: Source, registry: Registry, run: Path) -> Fact | None:
    """What ``measure`` finds without traffic; None if it needs an engine.

    ``run`` is the folder of an earlier `harness run`, whose evidence is looked at.
    """
    if isinstance(measure, Recorded):
        return recorded(measure, run)
    if isinstance(measure, Counted | Stated):
        return of_sources(measure, registry)
    return of_sheet(measure)


def of_sheet(measure: Source) -> Fact | None:
    """What is known without traffic, sources and runs; None if ``measure`` needs one of them."""
    match measure:
        case Planned():
            return planned(measure)
        case Roofline():
            return roofline(measure)
        case Exported():
            return exported(measure)
        case Unmeasured():
            return Fact(subject="none", why=f"{measure.why} To settle it: {measure.how}")
        case _:
            return None


def planned(measure: Planned) -> Fact:
    """A figure of the capacity planner."""
    subject = f"{measure.model} on {measure.card}"
    try:
        known = card(measure.card)
        found = fit(
            model(measure.model),
            Ask(
                memory_bytes=known.hardware.memory_bytes,
                length=measure.length,
                utilisation=measure.utilisation,
                reserved_bytes=known.reserved_bytes,
            ),
        )
    except CapacityError as error:
        return Fact(subject=subject, doubt=str(error))
    value, said = _figure(measure.figure, found)
    return Fact(subject=subject, value=value, said=said)


def _figure(figure: str, found: Fit) -> tuple[float, str]:
    request = found.blocks_per_request * found.bytes_per_block
    need = found.model.weight_bytes + found.ask.reserved_bytes + request
    match figure:
        case "concurrency":
            return found.concurrency, f"{found.blocks:,} blocks / {found.blocks_per_request}"
        case "requests":
            return found.requests, f"{found.concurrency:.2f}x"
        case "need":
            return need / GIB, "weights, reserve and one request: the least it runs with"
        case "both-models":
            return 2 * need / GIB, "two of them at their least"
        case "in-use":
            return (found.model.weight_bytes + found.pool_bytes) / GIB, "weights and KV pool"
        case _:
            return math.ceil(found.ask.memory_bytes * found.ask.utilisation) / GIB, (
                "taken at the start, whatever the model needs"
            )


def roofline(measure: Roofline) -> Fact:
    """What the data sheet allows, with kernels that reach all of it."""
    subject = f"{measure.preset} preset on the {measure.card} data sheet"
    geometry = _geometry(measure.preset)
    sheet = replace(
        card(measure.card).hardware,
        bandwidth_efficiency=1.0,
        flops_efficiency=1.0,
        overhead_s=0.0,
    )
    many = _step_s(sheet, geometry, measure.users, measure.context)
    if measure.figure == "answer-ms":
        return Fact(
            subject=subject,
            value=measure.answer * many * 1000,
            said=f"{measure.answer} tokens, {many * 1000:.1f} ms each at best",
        )
    alone = _step_s(sheet, geometry, 1, measure.context)
    return Fact(
        subject=subject,
        value=measure.users * alone / many,
        said=f"a step takes {alone * 1000:.1f} ms for one, {many * 1000:.1f} ms for "
        f"{measure.users} at {measure.context:,} tokens; {measure.users} streams that share a step "
        f"are never more than {measure.users} times as fast as one",
    )


def _geometry(name: str) -> steptime.Geometry:
    step_time = preset(name).step_time
    if not isinstance(step_time, steptime.Roofline):
        raise TypeError(f"the preset {name} has no geometry")
    return step_time.geometry


def _step_s(
    sheet: steptime.Hardware, geometry: steptime.Geometry, users: int, context: int
) -> float:
    plan = StepPlan()
    plan.sequences = [Sequence(context, 1) for _ in range(users)]
    plan.context = users * context
    return steptime.Roofline(sheet, geometry).seconds(plan)


def recorded(measure: Recorded, run: Path) -> Fact:
    """A figure of the evidence of an earlier run."""
    subject = f"{measure.check} of {measure.subject}"
    again = f"`harness run`, then this again (or --run FOLDER; looked in {run})"
    try:
        context = read_run(run)
        records = read(run / EVIDENCE_FILE).records
    except EvidenceError:
        return Fact(subject=subject, why=f"there is no run to look at: {again}")
    rows = [
        row
        for row in records
        if fnmatchcase(row.check, measure.check)
        and fnmatchcase(row.subject, measure.subject)
        and row.verdict is not Verdict.NOT_RUN
    ]
    if not rows:
        return Fact(subject=subject, why=f"the run {context.id} has no such evidence: {again}")
    if context.interrupted:
        return Fact(subject=subject, doubt=f"the run {context.id} was interrupted: {again}")
    said = f"run {context.id}, {len(rows)} records"
    if measure.figure == "pass-share":
        passed = sum(row.verdict is Verdict.PASS for row in rows)
        return Fact(
            subject=subject,
            value=100 * passed / len(rows),
            n=len(rows),
            engine=context.engine,
            said=said,
        )
    worst = max(rows, key=_value)
    if _value(worst) < 0:
        return Fact(subject=subject, why=f"{said}, none with a number")
    return Fact(
        subject=worst.subject,
        value=_value(worst),
        interval=worst.interval,
        n=worst.n,
        engine=worst.engine,
        said=said,
    )


def _value(row: Evidence) -> float:
    return float(row.value) if isinstance(row.value, int | float) else -1.0


def exported(measure: Exported) -> Fact:
    """1 if some server of the system exports the series, else 0."""
    for each in exporters():
        if measure.metric.startswith(each.prefix):
            there = measure.metric in each.names or measure.metric in each.names.values()
            return Fact(subject=each.product, value=float(there))
    return Fact(subject=measure.metric, why="no exporter of such names is known")


def of_sources(measure: Counted | Stated, registry: Registry) -> Fact:
    """What the sources name or say."""
    if isinstance(measure, Counted):
        return counted(measure, registry)
    return stated(measure, registry)


def counted(measure: Counted, registry: Registry) -> Fact:
    """How many entries the sources have."""
    counts = {
        "providers": registry.providers,
        "models": registry.public_models,
        "chains": registry.fallback_chains,
        "services": registry.ports.services,
        "routes": registry.routes.exact,
    }
    return Fact(subject="config", value=float(len(counts[measure.what])))


def stated(measure: Stated, registry: Registry) -> Fact:
    """A number as it stands in a source file."""
    value: Any = registry.documents[measure.file].value
    for key in measure.path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    subject = f"{measure.file}: {measure.path}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Fact(subject=subject, why=f"{measure.file} states no {measure.path}: write it there")
    return Fact(subject=subject, value=float(value) * measure.times)
