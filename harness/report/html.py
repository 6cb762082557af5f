"""One self-contained page: opens from a file, loads nothing, reads without JavaScript."""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from harness.report import numbers
from harness.report.charts import charts
from harness.report.claims import DrawnClaim, drawn, figure, headlined, summary
from harness.report.matrices import contract_matrix, kill_matrices
from harness.report.view import (
    Item,
    Kind,
    duration,
    headline,
    items,
    plain_engine,
    sections,
    tallies,
    verdict_kind,
    visible,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.evidence import Evidence, GateReport, RunContext

MOST_BYTES = 300 * 1024
"""How large the page may be; beyond it the list leaves records out, first those that passed."""

_MOST_REASONS = 12
_ROUTES = "route."
_TIERS = {
    "emulated": "Emulated engines stood in for the model servers: every figure here is of the "
    "gateway and the way through it, none is of a model.",
    "real": "Real model servers stood behind the gateway on this machine.",
    "mixed": "Some of the model servers were real and some emulated; each figure says what stood "
    "behind it.",
    "remote": "Remote model servers stood behind the gateway; the network is part of every figure.",
    "none": "No traffic was driven: nothing stood behind the gateway.",
}


def page(
    run: RunContext,
    evidence: Sequence[Evidence],
    report: GateReport,
    *,
    claims: Sequence[dict[str, Any]] = (),
    most_bytes: int = MOST_BYTES,
) -> str:
    """The HTML page of a run.

    Every number drawn from evidence stands in an element with ``data-evidence`` (the
    place of the record in ``evidence``) and ``data-value`` (:func:`fact`), so that the
    page can be checked against what it was drawn from.
    """
    numbered = items(evidence)
    everything = frozenset(item.index for item in numbered)
    remarkable = frozenset(item.index for item in numbered if item.kind is not Kind.PASS)
    text = ""
    for listed in (everything, remarkable, frozenset[int]()):
        text = _render(run, numbered, report, listed, drawn(claims, numbered))
        if len(text.encode()) <= most_bytes:
            break
    return text


def fact(item: Item, field: str) -> str:
    """The exact text of a record's number: ``value``, ``n``, ``bound``, ``interval.0`` or ``.1``.

    Empty where the record has none.
    """
    name, _, end = field.partition(".")
    held = getattr(item.evidence, name)
    if end and held is not None:
        held = held[int(end)]
    return "" if held is None else visible(numbers.exact(held))


def _render(
    run: RunContext,
    numbered: Sequence[Item],
    report: GateReport,
    listed: frozenset[int],
    claims: Sequence[DrawnClaim],
) -> str:
    contract = contract_matrix(numbered)
    rows = sections(numbered, report)
    return _template().render(
        run=run,
        report=report,
        overall=verdict_kind(report.verdict),
        headline=headlined(claims, headline(report) if report.rows or not claims else ""),
        duration=duration(run),
        engine=plain_engine(run),
        tier_meaning=_TIERS[run.engine],
        sections=rows,
        claims=claims,
        claims_summary=summary(claims),
        open_sections=[section for section in rows if section.kind is not Kind.PASS],
        kills=kill_matrices(numbered),
        charts=charts(numbered),
        contract=contract,
        deviations=contract.deviations() if contract else {},
        routes=[item for item in numbered if item.evidence.check.startswith(_ROUTES)],
        listed=listed,
        left_out=len(numbered) - len(listed),
        most=_MOST_REASONS,
        Kind=Kind,
        css=Markup(asset("page.css")),  # noqa: S704  our own file, no evidence in it
        js=Markup(asset("page.js")),  # noqa: S704  our own file, no evidence in it
    )


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    filters: dict[str, Any] = {
        "behind": numbers.behind,
        "breakable": _breakable,
        "fact": fact,
        "figure": figure,
        "limit": numbers.limit,
        "measured": numbers.measured,
        "number": numbers.number,
        "qualified": numbers.qualified,
        "tallies": tallies,
        "visible": visible,
    }
    environment.filters.update(filters)
    return environment.from_string(asset("page.html.j2"))


def _breakable(name: str) -> Markup:
    """A dotted name that may be broken after each dot."""
    *parts, last = name.split(".")
    return Markup("<wbr>").join([*(f"{part}." for part in parts), last])


def asset(name: str) -> str:
    """The text of a file of this room."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
