"""What a server's own metrics say: of a moment, and of a gauge on average over a load."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from harness.engines.metrics import read_metrics, total
from harness.wire import Request as Asked
from harness.wire import http1

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.metrics import Series
    from harness.wire import Exchange
    from harness.wire.engine import LoadEngine

_NS = 1_000_000_000
_OK = 200
_SHORTEST_S = 0.01
_SHARE = 0.02
"""Of the time that has passed, how much passes until the next reading."""


def metrics(engine: LoadEngine, url: str) -> tuple[Series, ...]:
    """The samples of the metrics page of the server at ``url``; none if it is none."""
    return _samples(_get(engine, f"{url}/metrics"))


class Gauge:
    """Readings of one gauge, in their order; add them up when nothing is under way any more."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pages: list[Exchange] = []

    def mean(self, begun_ns: int, ended_ns: int) -> float:
        """Over the time: what one reading showed holds until the next, 0 before the first."""
        area, last, last_ns = 0.0, 0.0, begun_ns
        for at_ns, value in self._readings():
            now_ns = min(max(at_ns, begun_ns), ended_ns)
            area += last * (now_ns - last_ns)
            last, last_ns = value, now_ns
        return (area + last * (ended_ns - last_ns)) / (ended_ns - begun_ns)

    def _readings(self) -> Iterator[tuple[int, float]]:
        for page in self.pages:
            value = total(_samples(page), self.name)
            if value is not None:
                yield page.ended_ns, value


@contextmanager
def watched(engine: LoadEngine, url: str, name: str) -> Iterator[Gauge]:
    """The gauge ``name`` while the body runs.

    A load is roughest at its beginning, and what is seen a moment too late weighs by its length:
    the time to the next reading is a fiftieth of the time so far, so that no change is dated wrong
    by more than a fiftieth of the load. A whole page costs vLLM's server 3.6 ms in which it serves
    nobody; one sample costs it 0.4, and is to be had at ``/metrics/``, with the slash.
    """
    gauge = Gauge(name)
    over = threading.Event()
    one = f"{url}/metrics/?{urlencode({'name[]': name})}"
    page = one if total(_samples(_get(engine, one)), name) is not None else f"{url}/metrics"

    def watch() -> None:
        begun_ns = 0
        wait_s = 0.0
        while not over.wait(wait_s):
            read = _get(engine, page)
            gauge.pages.append(read)
            begun_ns = begun_ns or read.started_ns
            wait_s = max(_SHORTEST_S, (read.ended_ns - begun_ns) / _NS * _SHARE)

    thread = threading.Thread(target=watch, name="metrics", daemon=True)
    thread.start()
    try:
        yield gauge
    finally:
        over.set()
        thread.join()


def _get(engine: LoadEngine, url: str) -> Exchange:
    return engine.submit(Asked(method="GET", url=url)).wait().exchange


def _samples(exchange: Exchange) -> tuple[Series, ...]:
    response = http1.parse(exchange)
    try:
        return read_metrics(response.body.decode()) if response.status == _OK else ()
    except ValueError:
        return ()
