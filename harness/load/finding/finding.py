"""A search on a live target, written down visit by visit so that it can go on where it stopped."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.evidence import EVIDENCE_FILE, EvidenceStore
from harness.load.finding.judged import evidence_of
from harness.load.finding.knee import Knee, knee
from harness.load.finding.level import Stretch, Visit, said
from harness.load.finding.search import ROUNDS, Found, Plan, following, found, search
from harness.load.journal.journal import Facts, JournalError, finish
from harness.load.playing import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.load.target import Target

_PLAN, _VISITS = "find.json", "visits.jsonl"


class _Stopped(Exception):  # noqa: N818 - no error: somebody asked for it
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a search found, whole or not."""

    plan: Plan
    visits: tuple[Visit, ...]
    found: Found
    knee: Knee | None
    resumed: int
    """How many of the visits were made by an earlier run."""
    interrupted: bool
    folder: Path
    engine: str
    """What stood behind the target."""

    @property
    def slo(self) -> tuple[str, ...]:
        """The objectives, as a person writes them."""
        return tuple(said(objective) for objective in self.plan.slo)

    @property
    def unfinished(self) -> bool:
        """Whether a larger budget would measure more."""
        return following(self.plan, self.visits) is not None

    @property
    def exit_code(self) -> int:
        """0: a level holds, for sure. 1: none does, for sure. 3: that is not sure."""
        if not self.found.sure:
            return 3
        return 1 if self.found.held is None else 0

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {
            "slo": list(self.slo),
            "by": "users" if self.plan.whole else "rate",
            "engine": self.engine,
            "confidence": self.plan.confidence,
            "found": asdict(self.found) | {"text": self.found.text},
            "knee": None if self.knee is None else asdict(self.knee),
            "visits": [visit.to_json() for visit in self.visits],
            "resumed": self.resumed,
            "interrupted": self.interrupted,
            "unfinished": self.unfinished,
            "folder": str(self.folder),
        }


def find(
    plan: Plan,
    target: Target,
    *,
    folder: Path,
    engine: str,
    where: str = "",
    seed: int = 1,
    stop: threading.Event | None = None,
    note: Callable[[Visit], None] = lambda _: None,
) -> Search:
    """Search on ``target``, going on with what ``folder`` holds of the same search.

    Every visit is on disk when it is made; setting ``stop`` ends the search with what there is.
    Nothing is written before the target has answered. ``where`` names the target where its URL
    is another at each start.

    Raises:
        LoadError: the target does not answer.
        EvidenceError: what was found could not be written down.
        JournalError: the folder holds another search, or a finished one, or cannot be written.
    """
    stop = stop or threading.Event()
    settings = _settings(plan, target, where or target.base_url, seed)
    earlier = _earlier(folder, settings)
    facts = Facts(
        profile="find",
        seed=seed,
        host=target.base_url,
        engine=engine,
        begun_unix_ns=time.time_ns(),
        workers=(),
        notes={"slo": [said(one) for one in plan.slo], "model": target.model},
    )
    visits = list(earlier or ())

    def keep(visit: Visit) -> None:
        _append(folder / _VISITS, visit.to_json())
        visits.append(visit)
        note(visit)

    interrupted = False
    with Session(
        target,
        folder=folder,
        facts=facts if earlier is None else None,
        part=f"part{len(list(folder.glob('requests-*.jsonl')))}",
        streams=min(256, max(8, round(plan.most if plan.whole else plan.most / 4))),
        stop=stop,
    ) as session:
        if earlier is None:
            _put(folder / _PLAN, settings)

        def play(level: float, seconds: float, seed: int) -> Stretch:
            stretch = session.play(
                level,
                seconds,
                seed,
                whole=plan.whole,
                slo=plan.slo,
                error=plan.error / ROUNDS,
            )
            if stop.is_set():
                raise _Stopped
            return stretch

        try:
            search(plan, play, seed=seed, visits=visits[:], note=keep)
        except _Stopped:
            interrupted = True
    result = found(plan, visits)
    facts = replace(facts, notes={**facts.notes, **session.notes})
    finish(folder, facts, partial="interrupted" if interrupted else None)
    if following(plan, visits) is None:
        _put(folder / _PLAN, settings | {"over": True})
    found_out = Search(
        plan=plan,
        visits=tuple(visits),
        found=result,
        knee=knee(visits),
        resumed=len(earlier or ()),
        interrupted=interrupted,
        folder=folder,
        engine=engine,
    )
    with EvidenceStore(folder / EVIDENCE_FILE) as store:
        store.append(evidence_of(found_out, model=target.model, seed=seed))
    return found_out


def _settings(plan: Plan, target: Target, where: str, seed: int) -> dict[str, Any]:
    """What must be equal for a search to be the same: not its budget, which may be raised."""
    return {
        "slo": [said(objective) for objective in plan.slo],
        "levels": list(plan.levels),
        "whole": plan.whole,
        "confidence": plan.confidence,
        "target": where,
        "model": target.model,
        "prompts": target.prompts,
        "prompt_tokens": target.prompt_tokens,
        "answer_tokens": target.answer_tokens,
        "seed": seed,
    }


def _earlier(folder: Path, settings: dict[str, Any]) -> tuple[Visit, ...] | None:
    """The visits that ``folder`` holds of this search; None where there is nothing. Only reads."""
    path = folder / _PLAN
    try:
        if not folder.exists() or not any(folder.iterdir()):
            return None
        if not path.exists():
            raise JournalError(f"{folder} holds something else: give another --name.")
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept.pop("over", False):
            raise JournalError(
                f"{folder} holds a search that is over: give another --name, or remove it."
            )
        if differs := [name for name in settings if kept.get(name) != settings[name]]:
            raise JournalError(
                f"{folder} holds a search with another {differs[0].replace('_', ' ')}: repeat its "
                "options to go on with it, or give another --name."
            )
        text = (folder / _VISITS).read_text(encoding="utf-8") if (folder / _VISITS).exists() else ""
        lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return tuple(Visit.from_json(json.loads(line)) for line in lines)
    except OSError as error:
        raise JournalError(f"cannot use {folder}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise JournalError(
            f"{folder} holds no search that can be read ({error!r}): give another --name."
        ) from error


def _put(path: Path, data: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise JournalError(f"cannot write {path}: {error.strerror or error}.") from error


def _append(path: Path, data: dict[str, Any]) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(data, separators=(",", ":")) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise JournalError(
            f"cannot write {path}: {error.strerror or error}. Visits written before are safe."
        ) from error
