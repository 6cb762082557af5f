"""What an emulated engine sent, byte for byte, and when. Standard library only."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Ending = Literal["whole", "client", "fin", "rst", "down"]
"""How an answer ended: all of it was sent; the client went away first; a fault closed the
connection in order or by reset; the engine went down."""

_DEFLATE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One request and every byte of its answer.

    All ``*_ns`` are CLOCK_MONOTONIC nanoseconds, comparable with those of an Exchange on the same
    machine. A write is stamped right after the kernel took its bytes, so a client on another core
    may hold them some microseconds before the stamp; a byte that is not here it cannot have.
    """

    number: int
    """Requests of this engine in order of arrival, from 1."""
    connection: int
    """Connections of this engine in order of arrival, from 1."""
    peer_port: int
    """The client's port, which tells the connection on the client's side."""
    method: str
    target: str
    request_id: str | None
    """``x-request-id`` as received."""
    model: str | None
    """``model`` of the request body."""
    stream: bool
    received_ns: int
    """The last byte of the request had been read."""
    ended_ns: int
    status: int | None
    """None if nothing was answered."""
    ending: Ending
    faults: tuple[str, ...]
    """Names of the faults that shaped this answer."""
    writes: tuple[tuple[int, bytes], ...]
    """``(at_ns, bytes)`` of each write, status line and headers included."""

    @property
    def sent(self) -> bytes:
        """Everything that was sent, joined."""
        return b"".join(data for _, data in self.writes)

    @property
    def aborted(self) -> bool:
        """The client went away before the answer was whole."""
        return self.ending == "client"

    @classmethod
    def from_wire(cls, data: dict[str, Any]) -> LedgerEntry:
        """The inverse of `pack`, on what `pack` and the other fields were sent as."""
        plain = {k: v for k, v in data.items() if k not in {"at", "sizes", "data"}}
        return cls(
            **{**plain, "faults": tuple(plain["faults"])},
            writes=tuple(_unpack(data["at"], data["sizes"], data["data"])),
        )


def pack(at_ns: Sequence[int], chunks: Sequence[bytes]) -> dict[str, Any]:
    """Writes as small JSON: times as differences, bytes joined, deflated and in base64."""
    steps = [now - before for before, now in zip([0, *at_ns], at_ns, strict=False)]
    data = base64.b64encode(zlib.compress(b"".join(chunks), _DEFLATE)).decode("ascii")
    return {"at": steps, "sizes": [len(chunk) for chunk in chunks], "data": data}


def _unpack(steps: list[int], sizes: list[int], packed: str) -> list[tuple[int, bytes]]:
    data = zlib.decompress(base64.b64decode(packed))
    writes: list[tuple[int, bytes]] = []
    at = begin = 0
    for step, size in zip(steps, sizes, strict=True):
        at += step
        writes.append((at, data[begin : begin + size]))
        begin += size
    return writes
