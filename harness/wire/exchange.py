"""The one observation everything else is computed from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

Header = tuple[str, str]


class End(StrEnum):
    """How the connection that carried an exchange came to its end."""

    EOF = "eof"
    """The peer closed its side in order."""
    KEPT = "kept"
    """It did not: the answer ended by its framing, and the connection stayed open for another."""
    RESET = "reset"
    """The peer aborted the connection (RST)."""
    REFUSED = "refused"
    """Nobody listened; no byte was sent."""
    TIMEOUT = "timeout"
    """The client's own deadline passed first."""
    CANCELLED = "cancelled"
    """The caller gave up (Ctrl-C, or a test that disconnects on purpose)."""
    UNREACHABLE = "unreachable"
    """Any other failure to connect: name, route, permission."""


class Clock(StrEnum):
    """Who stamped the reads."""

    KERNEL = "kernel"
    """SO_TIMESTAMPING: arrival in the socket, independent of how busy the client is."""
    USER = "user"
    """Taken by the client after ``recv`` returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked: exactly these bytes went out, framed as HTTP/1.1."""

    method: str
    url: str
    headers: tuple[Header, ...] = ()
    body: bytes = b""


class Read(NamedTuple):
    """Bytes that arrived together; ``at_ns`` is CLOCK_MONOTONIC in nanoseconds.

    Several writes of the peer may share one read. Then only the last of them
    arrived at ``at_ns``; the others arrived between the previous read and this one.
    """

    at_ns: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its answer, as raw bytes with monotonic stamps.

    ``reads`` hold everything the peer sent, status line and headers included.
    All ``*_ns`` are CLOCK_MONOTONIC nanoseconds, comparable between processes
    of one machine. ``connected_ns`` and ``sent_ns`` are None where the exchange
    ended before that point.
    """

    id: str
    request: Request
    started_ns: int
    connected_ns: int | None = None
    sent_ns: int | None = None
    ended_ns: int
    reads: tuple[Read, ...] = ()
    end: End
    detail: str = ""
    clock: Clock = Clock.USER
    labels: Mapping[str, str] = field(default_factory=dict)
