"""One run as it is written down: its plan, its journal, and what its workers have said."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.evidence import EVIDENCE_FILE, EvidenceError, EvidenceStore
from harness.load.goodput import objectives
from harness.load.journal import journal
from harness.load.journal.journal import Facts, Journal, JournalError, Writer
from harness.load.locusts.counting import Counts
from harness.load.locusts.engines import Engines
from harness.load.overview.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from harness.evidence import Evidence
    from harness.load.locusts.orders import Orders
    from harness.load.profiles import Plan
    from harness.load.sampling.sampling import Watch

STOPPED = "stopped before its end, by Ctrl-C or on the page"
_NS = 1_000_000_000
_PACKAGES = ("locust", "gevent", "llm-gateway-harness")
_log = logging.getLogger(__name__)


class Run:
    """One run: its plan, its journal, and what its workers have said."""

    def __init__(
        self,
        plan: Plan,
        orders: Orders,
        folder: Path,
        *,
        workers: tuple[str, ...],
        slo: str,
        watches: Iterable[Watch] = (),
    ) -> None:
        self.plan, self.orders, self.folder, self.slo = plan, orders, folder, slo
        self.engines = Engines(folder, watches)
        self.facts = Facts(
            profile=orders.profile,
            seed=orders.setting.seed,
            host=orders.base_url,
            engine="unknown",
            begun_unix_ns=time.time_ns(),
            workers=workers,
            versions=_versions(),
            notes={
                "slo": slo,
                "users": plan.most if not plan.open else None,
                "prompts": orders.setting.prompts,
            },
        )
        self.done: dict[str, Mapping[str, Any]] = {}
        """What workers said last of all."""
        self.lost: list[str] = []
        self.trouble: str | None = None
        """What makes going on pointless."""
        self.complete = self.ending = False
        self.latecomers = 0
        self.begun_unix_ns = 0
        self.counts = Counts(orders.exact)
        """Whether prompts were of the counts asked for; known once there is a `summary`."""
        self.ready: set[str] = set()
        """Workers that may begin."""
        self._writers: dict[str, Writer] = {}
        self._breaks = list(plan.breaks)

    def begin(self) -> None:
        """Make its folder and a file for each worker. Raises JournalError."""
        journal.begin(self.folder, self.facts)
        for worker in self.facts.workers:
            self.join(worker)

    def join(self, worker: str) -> None:
        """Expect rows of ``worker`` too."""
        self._writers[worker] = Writer(self.folder, worker=worker)

    @property
    def workers(self) -> tuple[str, ...]:
        """Everybody who plays or has played."""
        return tuple(self._writers)

    def take(self, worker: str, lines: Sequence[bytes]) -> None:
        """Write rows down, unless nothing can be written any more."""
        if not lines or self.trouble is not None or worker not in self._writers:
            return  # workers go on reporting, without rows, when it is closed already
        try:
            self._writers[worker].add_lines(lines)
        except JournalError as error:
            self.trouble = str(error)
            _log.error("%s", error)

    def at_s(self) -> float:
        """Seconds since its beginning."""
        return (time.time_ns() - self.begun_unix_ns) / _NS

    def due_breaks(self, *, at_s: float) -> list[tuple[str, str]]:
        """What is to be done to engines by then, each once."""
        due = []
        while self._breaks and self._breaks[0].at_s <= at_s:
            one = self._breaks.pop(0)
            due.append(("revive" if one.revive else "kill", one.provider))
        return due

    def written(self, worker: str) -> int:
        """How many rows of ``worker`` are safe."""
        return self._writers[worker].written

    def summary(self) -> Summary:
        """What its rows come to, as far as they are written. Raises JournalError."""
        found, self.counts = Summary(objectives(self.slo)), Counts(self.orders.exact)
        for row in Journal.read(self.folder).rows:
            found.add(row)
            self.counts.add(row)
        return found

    def keep(self, evidence: Iterable[Evidence]) -> None:
        """Write down what was judged, beside the rows; what goes wrong is `trouble`."""
        try:
            with EvidenceStore(self.folder / EVIDENCE_FILE) as store:
                for each in evidence:
                    store.append(each)
        except EvidenceError as error:
            self.trouble = self.trouble or str(error)
            _log.error("%s", error)

    def close(self, notes: Mapping[str, Any], engine: str) -> str | None:
        """Finish its journal and the samples in it; returns why it is partial, if it is."""
        try:
            return self._close(notes, engine)
        finally:
            self.engines.end()

    def _close(self, notes: Mapping[str, Any], engine: str) -> str | None:
        reasons = [] if self.complete or self.trouble else [STOPPED]
        reasons += [self.trouble] if self.trouble else []
        reasons += [f"worker {worker} was lost" for worker in self.lost]
        for worker, said in self.done.items():
            if said.get("trouble"):
                reasons.append(f"worker {worker}: {said['trouble']}")
            elif said["rows"] != self.written(worker):
                missing = said["rows"] - self.written(worker)
                reasons.append(f"{missing} rows of worker {worker} did not arrive")
        silent = set(self.workers) - set(self.done) - set(self.lost)
        reasons += [f"worker {worker} did not hand in its last rows" for worker in sorted(silent)]
        partial = "; ".join(reasons) or None
        facts = replace(
            self.facts,
            workers=self.workers,
            engine=engine,
            begun_unix_ns=self.begun_unix_ns or self.facts.begun_unix_ns,
            ended_unix_ns=time.time_ns(),
            notes={**self.facts.notes, **notes},
        )
        try:
            for worker, writer in self._writers.items():
                ended = worker in self.done and worker not in self.lost
                writer.close(None if ended else f"worker {worker} did not end in order")
            journal.finish(self.folder, facts, partial=partial)
        except JournalError as error:
            _log.error("%s", error)
            return str(error)
        return partial


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
