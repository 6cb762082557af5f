"""Which models are in memory, until when, and how many requests may wait for them."""

from __future__ import annotations

import asyncio
import math
import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
DEFAULT_KEEP_ALIVE_S = 300.0
"""``OLLAMA_KEEP_ALIVE``, 5 minutes."""
_BUSY = "server busy, please try again.  maximum pending requests exceeded"


class Refusal(Exception):  # noqa: N818 - what the client gets is no fault of the server
    """An answer other than 200, in Ollama's words."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


def duration(value: Any) -> float:
    """Seconds of a ``keep_alive``: a number of seconds or a Go duration; negative means for ever.

    Raises `Refusal`.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if value >= 0 else math.inf
    if isinstance(value, str):
        sign, digits = (-1, value[1:]) if value.startswith("-") else (1, value)
        parts = _PART.findall(digits)
        if parts and "".join(map("".join, parts)) == digits:
            seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
            return seconds if sign > 0 else math.inf
    raise Refusal(400, f'time: invalid duration "{value}"')


class Residency:
    """The models that are served, and which of them count as loaded.

    A first use takes ``load_s`` longer, and so does one after a model's time is up. At most
    ``parallel`` requests are answered at a time and ``queue`` more wait; the rest get a 503.
    """

    def __init__(
        self,
        models: Sequence[str],
        *,
        parallel: int,
        queue: int,
        load_s: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.models = tuple(models)
        self._until: dict[str, float] = {}
        self._loading: dict[str, asyncio.Lock] = {}
        self._slots, self._room = asyncio.Semaphore(parallel), parallel + queue
        self._load_s, self._clock = load_s, clock
        self._inside = 0

    def find(self, name: Any) -> str:
        """The model of a request; a name without a tag means ``:latest``. Raises `Refusal`."""
        if not isinstance(name, str) or not name:
            raise Refusal(400, "model is required")
        for known in (name, f"{name}:latest", name.removesuffix(":latest")):
            if known in self.models:
                return known
        raise Refusal(404, f"model '{name}' not found")

    @asynccontextmanager
    async def turn(self, model: str, keep_alive: Any = None) -> AsyncIterator[int]:
        """A turn with a loaded model; gives the nanoseconds that loading took. Raises `Refusal`."""
        stay_s = DEFAULT_KEEP_ALIVE_S if keep_alive is None else duration(keep_alive)
        if self._inside >= self._room:
            raise Refusal(503, _BUSY)
        self._inside += 1
        try:
            async with self._slots:
                started = time.monotonic_ns()
                await self._load(model)
                try:
                    yield time.monotonic_ns() - started
                finally:
                    self._until[model] = self._clock() + stay_s
        finally:
            self._inside -= 1

    async def _load(self, model: str) -> None:
        async with self._loading.setdefault(model, asyncio.Lock()):
            if model not in dict(self.loaded()):
                await asyncio.sleep(self._load_s)
            self._until[model] = math.inf  # while it answers

    def loaded(self) -> list[tuple[str, float]]:
        """The models in memory and the Unix times at which they leave it."""
        now = self._clock()
        return [(model, until) for model, until in self._until.items() if until > now]
