"""The gate: a pure function of evidence and policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.evidence.judgement import UNCLAIMED, Cause, Counts, GateReport, Reason, Row
from harness.evidence.record import Evidence, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.gate.policy import Gate, Policy


def judge(evidence: Sequence[Evidence], policy: Policy, *, interrupted: bool = False) -> GateReport:
    """The verdict table of ``evidence`` under ``policy``.

    A row fails on a fail that no recorded deviation explains, on evidence that is
    missing, and on a not-run that its requirement does not permit. Otherwise it is
    inconclusive on an inconclusive record (unless its gate allows that) and where
    nothing in it passed. What a recorded deviation explains is accepted, counted
    apart and listed. In an ``interrupted`` run what is missing was not reached: that is
    inconclusive, not failed, and the run as a whole is never better than that.

    Evidence no gate asks for comes in a last row of its own, and a fail among it
    fails the verdict: nothing found broken is ignored. The order of ``evidence``
    does not matter; two records of the same check and subject fill one place.
    """
    ordered = sorted(evidence, key=_order)
    claimed: set[int] = set()
    rows: list[Row] = []
    for gate in policy.gates:
        mine = [one for one in ordered if _claims(gate, one)]
        claimed.update(id(one) for one in mine)
        reasons = [*_missing(gate, mine, interrupted=interrupted), *_findings(gate, mine)]
        # Nothing proves itself: records that are all not-run or inconclusive leave a row open.
        proven = any(one.verdict is Verdict.PASS or _known(one) for one in mine)
        if not proven and all(reason.effect is Verdict.PASS for reason in reasons):
            text = "nothing here passed, so nothing here is proven"
            reasons.append(Reason(Cause.UNPROVEN, Verdict.INCONCLUSIVE, text))
        rows.append(_row(gate.id, gate.title, gate.owner, mine, reasons))
    rest = [one for one in ordered if id(one) not in claimed]
    if rest:
        title = "Evidence that no row asks for"
        rows.append(_row(UNCLAIMED, title, "whoever added it", rest, list(_leftovers(rest))))
    return GateReport(rows=tuple(rows), counts=_counts(ordered), interrupted=interrupted)


def _order(one: Evidence) -> tuple[str, str, str]:
    return one.check, one.subject, one.model_dump_json()


def _claims(gate: Gate, one: Evidence) -> bool:
    return any(need.matches(one.check, one.subject) for need in gate.evidence)


def _row(
    id_: str, title: str, owner: str, mine: Sequence[Evidence], reasons: Sequence[Reason]
) -> Row:
    return Row(
        id=id_,
        title=title,
        owner=owner,
        counts=_counts(mine),
        reasons=tuple(sorted(reasons, key=lambda reason: _RANK[reason.effect])),
        evidence=tuple(mine),
    )


_RANK = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASS: 2}


def _missing(gate: Gate, mine: Sequence[Evidence], *, interrupted: bool) -> Iterator[Reason]:
    for need in gate.evidence:
        found = len({(e.check, e.subject) for e in mine if need.matches(e.check, e.subject)})
        if found >= need.at_least:
            continue
        wanted = f"needs {need}, found {found}"
        if interrupted:
            yield Reason(Cause.MISSING, Verdict.INCONCLUSIVE, f"not reached: {wanted}")
        else:
            yield Reason(Cause.MISSING, Verdict.FAIL, f"missing: {wanted}")


def _findings(gate: Gate, mine: Sequence[Evidence]) -> Iterator[Reason]:
    for one in mine:
        if _known(one):
            text = f"known deviation {one.deviation}: {_why(one)}"
            yield Reason(Cause.KNOWN, Verdict.PASS, text, one)
        elif one.verdict is Verdict.FAIL:
            yield Reason(Cause.FAIL, Verdict.FAIL, _why(one), one)
        elif one.verdict is Verdict.INCONCLUSIVE:
            effect = Verdict.PASS if gate.allow_inconclusive else Verdict.INCONCLUSIVE
            yield Reason(Cause.INCONCLUSIVE, effect, f"inconclusive: {_why(one)}", one)
        elif one.verdict is Verdict.NOT_RUN:
            permitted = all(
                need.may_be_not_run
                for need in gate.evidence
                if need.matches(one.check, one.subject)
            )
            effect = Verdict.PASS if permitted else Verdict.FAIL
            yield Reason(Cause.NOT_RUN, effect, f"not run: {_why(one)}", one)


def _leftovers(rest: Sequence[Evidence]) -> Iterator[Reason]:
    for one in rest:
        broken = one.verdict is Verdict.FAIL and not _known(one)
        effect = Verdict.FAIL if broken else Verdict.PASS
        text = f"no row asks for it ({one.verdict}): {_why(one)}"
        yield Reason(Cause.UNCLAIMED, effect, text, one)


def _known(one: Evidence) -> bool:
    return one.verdict is Verdict.FAIL and bool(one.deviation)


def _why(one: Evidence) -> str:
    return one.reason or f"asked: {one.asked}"


def _counts(evidence: Sequence[Evidence]) -> Counts:
    known = sum(_known(one) for one in evidence)
    tally = {verdict: sum(one.verdict is verdict for one in evidence) for verdict in Verdict}
    return Counts(
        passed=tally[Verdict.PASS],
        failed=tally[Verdict.FAIL] - known,
        known=known,
        inconclusive=tally[Verdict.INCONCLUSIVE],
        not_run=tally[Verdict.NOT_RUN],
    )
