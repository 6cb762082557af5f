"""Two targets under load in turn, and records of loads read back as runs to compare."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.load.comparing.compare import Run
from harness.load.journal.journal import Facts, Journal, JournalError, finish, require_vacant
from harness.load.playing import Session
from harness.load.sampling.sampling import Sampler
from harness.load.target import LoadError
from harness.statistics import BLOCK, order

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.load.comparing.compare import Arm
    from harness.load.journal.rows import Row
    from harness.load.sampling.sampling import Watch
    from harness.load.target import Target

EXPLAINED = {
    "load.no-block": """A comparison ended before its first block was whole

Two targets are compared within blocks of four runs, A B B A and B A A B. Without one whole block
there is nothing to compare, and a verdict on what there is would be a verdict on the machine.

Remedy: measure again under another --name, or remove the folder first; --run-s makes a block
shorter. What was measured is kept: `harness load report FOLDER` draws it.""",
}
"""What ``harness explain`` says of each error."""


@dataclass(frozen=True, slots=True)
class Turns:
    """The whole runs of a comparison, in their order, and why some are missing if they are."""

    runs: tuple[Run, ...]
    partial: str = ""


def take_turns(
    a: Target,
    b: Target,
    *,
    folder: Path,
    level: float,
    whole: bool,
    blocks: int,
    run_s: float,
    engine: str,
    seed: int = 1,
    stop: threading.Event | None = None,
    note: Callable[[int, Run], None] = lambda _, __: None,
    watches: Sequence[Watch] = (),
) -> Turns:
    """Load ``a`` and ``b`` in the `harness.statistics.order` of so many blocks.

    Within a block both get equally long requests at the same moments, but no prompt comes twice:
    a cache of prefixes or answers would favour the later runs. All runs are in the journal in
    ``folder``, with their side and number as labels, so that `recorded` reads them back, and the
    samples of ``watches`` beside them. Nothing is written before both targets have answered.

    Raises:
        LoadError: a target does not answer, or no block was whole when it was interrupted.
        JournalError: the folder holds a journal, or cannot be written.
        SamplingError: the ``watches`` cannot be sampled.
    """
    require_vacant(folder)
    facts = Facts(
        profile="compare",
        seed=seed,
        host=f"{a.base_url} {b.base_url}",
        engine=engine,
        begun_unix_ns=time.time_ns(),
        notes={"run_s": run_s, "level": level, "users": whole, "blocks": blocks},
    )
    runs: list[Run] = []
    excuses: dict[str, str] = {}
    streams = max(4, round(level))
    with (
        Session(a, b, folder=folder, facts=facts, streams=streams, stop=stop) as session,
        Sampler(folder, watches),
    ):
        for number, arm in enumerate(order(blocks)):
            target = a if arm == "A" else b
            labels = {"arm": arm, "run": str(number)}
            block = seed * 1000 + number // BLOCK
            stretch = session.play(
                level,
                run_s,
                block,
                whole=whole,
                target=target,
                labels=labels,
                batch=block * BLOCK + number % BLOCK,
            )
            if session.stop.is_set():
                break
            side: Arm = "A" if arm == "A" else "B"
            run = Run(
                arm=side,
                mets=stretch.mets,
                users=level if whole else None,
                spans_ns=stretch.spans_ns,
                excuse=stretch.excuse,
            )
            if stretch.excuse:
                excuses[str(number)] = stretch.excuse
            runs.append(run)
            note(number, run)
    # How many were whole: of one that was interrupted there are rows too.
    counted = {"excuses": excuses, "runs": len(runs)}
    notes: dict[str, Any] = {**facts.notes, **session.notes, **counted}
    partial = "interrupted" if session.stop.is_set() else None
    ended = replace(facts, ended_unix_ns=time.time_ns(), notes=notes)
    finish(folder, ended, partial=partial)
    return _blocks(folder, runs, blocks * BLOCK, partial)


def recorded(folder: Path) -> Turns:
    """What `take_turns` kept in ``folder``.

    Raises:
        JournalError: it is no record of that.
        LoadError: it ended before one block was whole.
    """
    journal = Journal.read(folder)
    by_run: dict[int, list[Row]] = {}
    for row in journal.rows.by_due():
        if "arm" in row.labels and "run" in row.labels and "warm" not in row.labels:
            by_run.setdefault(int(row.labels["run"]), []).append(row)
    if not by_run:
        raise JournalError(
            f"{folder} is no record of two targets taken in turn: name two records to compare, "
            "or two targets to measure."
        )
    notes, partial = journal.facts.notes, journal.facts.partial
    excuses = notes.get("excuses", {})
    # A record that never came to its end does not say whether its last run did.
    whole = int(notes.get("runs", max(by_run) + (partial is None)))
    runs = []
    for number in sorted(number for number in by_run if number < whole):
        rows = by_run[number]
        arm: Arm = "A" if rows[0].labels["arm"] == "A" else "B"
        runs.append(
            Run(
                arm=arm,
                mets=tuple(row.met for row in rows),
                users=rows[0].load if notes.get("users", True) else None,
                spans_ns=tuple((row.due_unix_ns, row.ended_unix_ns) for row in rows),
                excuse=excuses.get(str(number), ""),
            )
        )
    return _blocks(folder, runs, int(notes.get("blocks", 0)) * BLOCK, partial)


def side(folder: Path, arm: Arm) -> Run:
    """All of another journal as one run of a side; ``warm`` requests are left out.

    Raises:
        JournalError: it cannot be read, or has fewer than two requests.
    """
    journal = Journal.read(folder)
    if journal.facts.profile == "find":
        raise JournalError(
            f"{folder} holds a search, which chose its own levels of load: compare records of one "
            "load, or let `harness load compare URL URL` measure both."
        )
    rows = [row for row in journal.rows.by_due() if "warm" not in row.labels]
    if len(rows) < 2:
        raise JournalError(f"{folder} has {len(rows)} requests: there is nothing to compare.")
    partial = journal.facts.partial
    return Run(
        arm=arm,
        mets=tuple(row.met for row in rows),
        users=rows[0].load if journal.facts.notes.get("users", True) else None,
        spans_ns=tuple((row.due_unix_ns, row.ended_unix_ns) for row in rows),
        excuse=f"its record is partial: {partial}" if partial else "",
    )


def _blocks(folder: Path, runs: Sequence[Run], of: int, partial: str | None) -> Turns:
    if partial is None:
        return Turns(tuple(runs))
    if len(runs) < BLOCK:
        whole = f"{len(runs)} whole run{'' if len(runs) == 1 else 's'}"
        raise LoadError(
            "load.no-block",
            f"{partial} before the first block of {BLOCK} runs was whole, so there is nothing to "
            f"compare. Kept in {folder}: {whole} and the requests of the one under way; "
            f"`harness load report {shlex.quote(str(folder))}` draws them. To go on, measure "
            "again under another --name; --run-s makes a block shorter.",
        )
    blocks = len(runs) // BLOCK
    planned = f" of {of // BLOCK}" if of else ""
    return Turns(tuple(runs), f"{partial}: {blocks}{planned} blocks were measured")
