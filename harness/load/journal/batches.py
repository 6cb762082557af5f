"""Rows on their way from the process that judges to the one that writes them down.

A batch is a line of JSON and after it the rows, as many bytes as the line says. The line tells
what whoever shows a table of means and percentiles needs: the reader passes rows on as bytes and
reads none of them.
"""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from harness.load.journal.rows import dump
from harness.statistics import Histogram
from harness.wire.engine import Lags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.load.journal.rows import Row

SHOWN = ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")
"""The times of `harness.load.goodput.Met` that are counted."""
US = 1000
"""Times are counted in whole microseconds."""
_written = json.JSONEncoder(separators=(",", ":")).encode


class Failed(NamedTuple):
    """A request whose answer is not whole."""

    name: str
    ms: float
    """From when it was due until it ended."""
    size: int
    """Bytes of what was answered."""
    why: str


class Times(NamedTuple):
    """One of the times of `SHOWN`, of the requests of one name."""

    name: str
    which: str
    size: int
    """Bytes of their answers together."""
    us: dict[str, Any]
    """As `Histogram.dump` tells it."""


class Batch:
    """Rows as they are written down, and what they come to."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.sizes: list[int] = []
        """How many bytes each of the answers had."""
        self.failed: list[Failed] = []
        self.receive_lag: Lags | None = None
        """How long all reads there were lay in the kernel: only in the last batch."""
        self.trouble: str | None = None
        """Why not all rows will come, where that is known already."""
        self._times: dict[tuple[str, str], tuple[Histogram, list[int]]] = {}

    def add(self, row: Row, size: int) -> None:
        """Add one more, whose answer had ``size`` bytes."""
        said = dump(row)
        self.rows.append(_written(said).encode())
        self.sizes.append(size)
        for which in SHOWN:
            if (ms := said["met"].get(which)) is not None:
                found = self._times.setdefault((row.name, which), (Histogram(), []))
                found[0].add(max(0, round(ms * US)))
                found[1].append(size)
        if not row.met.whole:
            ms = (row.ended_unix_ns - row.due_unix_ns) / 1e6
            self.failed.append(Failed(row.name, ms, size, f"{row.failure}: {row.met.why}"))

    def dump(self) -> bytes:
        """The batch as bytes; `read` reads it."""
        lag = self.receive_lag
        rows = b"\n".join(self.rows)
        said = {
            "bytes": len(rows),
            "sizes": self.sizes,
            "failed": self.failed,
            "times": [
                Times(name, which, sum(sizes), times.dump())
                for (name, which), (times, sizes) in self._times.items()
            ],
            "receive_lag": lag and {"most_ns": lag.most_ns, "counts": list(lag.counts.items())},
            "trouble": self.trouble,
        }
        return _written(said).encode() + b"\n" + rows


class Read(NamedTuple):
    """A batch as it came in."""

    rows: list[bytes]
    sizes: list[int]
    failed: list[Failed]
    times: list[Times]
    receive_lag: Lags | None
    trouble: str | None = None


def read(source: IO[bytes], block: int = 1 << 20) -> Iterator[Read]:
    """The batches that come out of ``source``, until it ends; one that is cut off is left out."""
    held, wanted = bytearray(), 0
    head: dict[str, Any] | None = None
    while data := source.read(block):
        held += data
        while True:
            if head is None:
                end = held.find(b"\n")
                if end < 0:
                    break
                head = json.loads(held[:end])
                wanted = head["bytes"]
                del held[: end + 1]
            if len(held) < wanted:
                break
            rows = bytes(held[:wanted]).split(b"\n") if wanted else []
            del held[:wanted]
            yield _read(head, rows)
            head = None


def _read(head: dict[str, Any], rows: list[bytes]) -> Read:
    lag = head["receive_lag"]
    return Read(
        rows=rows,
        sizes=head["sizes"],
        failed=[Failed(*one) for one in head["failed"]],
        times=[Times(*one) for one in head["times"]],
        receive_lag=None if lag is None else Lags(dict(lag["counts"]), lag["most_ns"]),
        trouble=head["trouble"],
    )
