"""Looks at a level while it is loaded, and ends it where its verdict can no longer change.

A server that falls ever further behind would be asked, and waited for, long after all is said. A
look counts every request that was due: one that has ended by what it met, one under way by the
best that can still come of it. The level is broken beyond doubt where both hold of an objective:

* so many requests have missed its limit that the share of the whole stretch stays below the
  percentile even if all that are still to come keep it;
* the share of those due until now is below it with its whole interval, at a hundredth of the error
  that the stretch has, divided by the number of looks. Looks this strict leave the error of the
  verdict at the end as it is (Haybittle, British Journal of Radiology 44, 1971; Peto et al.,
  British Journal of Cancer 34, 1976).

There is none before half of the stretch, so that no short pause of the server decides. A pass is
never given early.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING

from harness import answer as answers
from harness.answer import DeltaKind
from harness.evidence import Verdict
from harness.load.finding.level import GIVEN_UP, kept_by
from harness.load.goodput import Met, met

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from harness.load.goodput import Objective
    from harness.wire.engine import Recorded, Ticket

MOST_UNDER_WAY = 4096
"""Requests that a client holds at once; what is asked beyond waits in the client."""
MOST_LATE_S = 1.0
"""From due to asked: beyond that the client does not come up to its own schedule."""
LOOKS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
"""When a stretch is looked at, in lengths of it: those past 1 while answers are waited for."""
SAMPLED = 200
"""Requests a look reads at most, evenly spaced: reading disturbs the client."""

LEAST = Met(
    whole=True,
    why="under way",
    queue_ms=0.0,
    ttft_ms=0.0,
    visible_ms=0.0,
    itl_ms=0.0,
    stall_ms=0.0,
    tpot_ms=0.0,
    e2e_ms=0.0,
    normalised_ms=0.0,
    due_ttft_ms=0.0,
    due_e2e_ms=0.0,
)
"""A request of which nothing is known yet: each metric is at its least."""

_SPENT = 0.01
"""Of the error of a stretch: what all its looks together may err beside it."""
_PAUSE_NS = 100_000_000
_MS, _NS = 1e6, 1e9


class Looks:
    """The looks at one stretch of ``seconds`` that is measured from ``from_ns`` on.

    An `harness.load.driving.Enough`. ``error`` is that of the stretch's verdict. Afterwards `cut`
    says how the level is broken, or `excuse` why the stretch was ended and says nothing.
    """

    def __init__(
        self, slo: Sequence[Objective], *, error: float, from_ns: int, seconds: float
    ) -> None:
        self.cut = self.excuse = ""
        self._slo = [objective for objective in slo if objective.q is not None]
        self._error, self._from_ns, self._seconds = error, from_ns, seconds
        self._at_ns = [from_ns + round(part * seconds * _NS) for part in LOOKS]
        self._next_ns = 0

    def __call__(self, ended: Sequence[Recorded], under_way: Collection[Ticket]) -> bool:
        """Whether the stretch may end now."""
        now_ns = time.monotonic_ns()
        if now_ns < self._next_ns:
            return False
        self._next_ns = now_ns + _PAUSE_NS
        due = [ticket for ticket in under_way if _due(ticket) <= now_ns]
        self.excuse = _unfit(due)
        if not self.excuse and self._at_ns and now_ns >= self._at_ns[0]:
            self._at_ns = [moment for moment in self._at_ns if moment > now_ns]
            self.cut = self._broken(ended, due, now_ns)
        return bool(self.cut or self.excuse)

    def _broken(self, ended: Sequence[Recorded], due: Sequence[Ticket], now_ns: int) -> str:
        asked: list[tuple[int, Callable[[], Met]]] = [
            (one.due_ns, partial(met, one)) for one in ended
        ]
        asked += [(_due(ticket), partial(_until_now, ticket, now_ns)) for ticket in due]
        asked = sorted((one for one in asked if one[0] >= self._from_ns), key=itemgetter(0))
        step = max(1, -(-len(asked) // SAMPLED))
        mets = [read() for _, read in asked[::step]]
        passed_s = (now_ns - self._from_ns) / _NS
        why = beyond_doubt(
            mets, self._slo, part=min(1.0, passed_s / self._seconds), error=self._error
        )
        return why and f"{why}; cut short after {passed_s:.3g} s: the rest cannot mend it"


def beyond_doubt(
    mets: Sequence[Met], slo: Sequence[Objective], *, part: float, error: float
) -> str:
    """Say which objective is broken whatever is still to come; nothing if none is.

    ``mets`` are those due in the first ``part`` of a stretch whose verdict may err with ``error``.
    """
    strict = error * _SPENT / len(LOOKS)
    for objective in slo if mets else ():
        kept = kept_by(mets, objective, strict, len(slo))
        lost = (1 - kept.share) * part > 1 - (objective.q or 0.0)
        if lost and kept.verdict is Verdict.FAIL:
            return kept.text
    return ""


def at_best(recorded: Recorded, now_ns: int) -> Met:
    """The best that can still come of a request: each metric at its least, as of ``now_ns``."""
    if recorded.sent_ns is None:
        return LEAST
    answer, sent_ns = answers.read(recorded.exchange), recorded.sent_ns
    first_ns = next((delta.at_ns for delta in answer.deltas), now_ns)
    visible = (one.at_ns for one in answer.deltas if one.kind is not DeltaKind.REASONING)
    return replace(
        LEAST,
        ttft_ms=(first_ns - sent_ns) / _MS,
        visible_ms=(next(visible, now_ns) - sent_ns) / _MS,
        e2e_ms=(now_ns - sent_ns) / _MS,
        due_ttft_ms=(first_ns - recorded.due_ns) / _MS,
        due_e2e_ms=(now_ns - recorded.due_ns) / _MS,
    )


def given_up(recorded: Recorded, slo: Sequence[Objective]) -> Met | None:
    """What a request met that a cut ended: late, or None where nothing is known of it."""
    best = at_best(recorded, recorded.ended_ns)
    late = any(not objective.held_by(best) for objective in slo if objective.q is not None)
    return Met(whole=False, why=GIVEN_UP) if late else None


def _until_now(ticket: Ticket, now_ns: int) -> Met:
    recorded = ticket.so_far()
    return LEAST if recorded is None else at_best(recorded, now_ns)


def _unfit(due: Collection[Ticket]) -> str:
    if len(due) > MOST_UNDER_WAY:
        return (
            f"the client is saturated: more than {MOST_UNDER_WAY:,} requests are under way, and "
            "the others wait in the client. Promise something that a queue breaks (ttft, e2e), or "
            "load with several processes (loadtests/)"
        )
    late_s = max(((one.submitted_ns - _due(one)) / _NS for one in due), default=0.0)
    if late_s > MOST_LATE_S:
        return (
            f"the client is saturated: it asks {late_s:.1f} s later than due. Lower --max, or "
            "load with several processes (loadtests/)"
        )
    return ""


def _due(ticket: Ticket) -> int:
    return ticket.submitted_ns if ticket.scheduled_ns is None else ticket.scheduled_ns
