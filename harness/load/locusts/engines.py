"""The engines sampled along one run: nothing that goes wrong here ever ends the load."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from harness.load.sampling.sampling import Sampler, SamplingError, sampled

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.load.sampling.sampling import Sampled, Watch

_NONE = "engines: not sampled; --engine-metrics URL samples those behind --host"
_log = logging.getLogger(__name__)


class Engines:
    """Samples ``watches`` into the journal's ``folder`` between `begin` and `end`."""

    def __init__(self, folder: Path, watches: Iterable[Watch]) -> None:
        self.trouble = ""
        """Why samples are missing that no engine is to blame for; empty if none are."""
        self._folder, self._watches = folder, tuple(watches)
        self._sampler: Sampler | None = None
        self._over = False
        # The end may come while the first samples are waited for, from another greenlet: the
        # child's pipes then have a reader already.
        self._one = threading.Lock()

    def begin(self) -> None:
        """Start sampling; returns once each engine was asked. What goes wrong is `trouble`."""
        with self._one:
            if self._over or self._sampler is not None or not self._watches:
                return
            try:
                self._sampler = sampler = Sampler(self._folder, self._watches)
                sampler.__enter__()  # left in `end`, which another greenlet calls
            except (SamplingError, ValueError, OSError) as error:
                self._failed(str(error))

    def end(self) -> None:
        """Take the last samples and stop, for good. Safe to call twice, and without `begin`."""
        with self._one:
            self._over = True
            sampler, self._sampler = self._sampler, None
            if sampler is None:
                return
            try:
                sampler.close()
            except (OSError, ValueError) as error:
                self._failed(str(error))
            if sampler.trouble and not self.trouble:
                self._failed(f"sampling the engines ended before its time: {sampler.trouble}")

    def lines(self) -> list[str]:
        """How many samples each engine gave and how many are missing, for the final table."""
        if not self._watches:
            return [_NONE]
        found = [f"NOT SAMPLED: {self.trouble}"] if self.trouble else []
        try:
            return found + [_line(one) for one in sampled(self._folder)]
        except (SamplingError, OSError) as error:
            return [*found, f"NOT SAMPLED: {error}"]

    def _failed(self, why: str) -> None:
        self.trouble = why
        _log.error("%s", why)


def _line(engine: Sampled) -> str:
    if engine.absent:
        return f"engine {engine.name}: not sampled, {engine.absent}"
    taken = sum(bool(sample.said) for sample in engine.samples)
    said = f"engine {engine.name}: {taken} samples, {engine.gaps} gaps"
    whys = list(dict.fromkeys(sample.why for sample in engine.samples if sample.why))
    if whys:
        said += f" ({whys[0]}{'; and more' if len(whys) > 1 else ''})"
    return said + (", cut before its end" if engine.cut else "")
