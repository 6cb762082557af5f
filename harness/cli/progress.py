"""The progress of a run, on standard error: one line a phase, a live count on a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape

from harness.evidence import Verdict
from harness.session.events import Event, Found, PhaseStarted, Trouble, Written

if TYPE_CHECKING:
    from types import TracebackType

    from rich.status import Status


class Progress:
    """Draws events as they come; `quiet` draws trouble only."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._quiet = quiet
        self._status: Status | None = None
        self._phase: PhaseStarted | None = None
        self._since = 0.0
        self._counts: dict[str, int] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._status = self._console.status("")
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close_phase()
        if self._status is not None:
            self._status.stop()

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        match event:
            case PhaseStarted():
                self._close_phase()
                self._phase, self._since, self._counts = event, time.monotonic(), {}
                self._refresh()
            case Found(evidence):
                known = evidence.verdict is Verdict.FAIL and evidence.deviation is not None
                kind = "known" if known else str(evidence.verdict)
                self._counts[kind] = self._counts.get(kind, 0) + 1
                self._refresh()
            case Trouble(text):
                self._close_phase()
                self._console.print(f"[bold red]stopped early:[/] {escape(text)}", soft_wrap=True)
            case Written(directory):
                self._close_phase()
                if not self._quiet:
                    self._console.print(f"written: {escape(str(directory))}")

    def _refresh(self) -> None:
        if self._status is not None and self._phase is not None:
            self._status.update(f"{self._line()} …")

    def _close_phase(self) -> None:
        if self._phase is not None and not self._quiet:
            took = time.monotonic() - self._since
            self._console.print(f"{self._line()}  [dim]{took:.1f} s[/]")
        self._phase = None

    def _line(self) -> str:
        assert self._phase is not None  # noqa: S101 - both callers have checked
        counts = "  ".join(f"{count} {kind}" for kind, count in self._counts.items())
        return f"[bold]{self._phase.name:<9}[/] {escape(self._phase.detail)}  {counts}".rstrip()
