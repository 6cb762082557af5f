"""When bytes arrived, as the kernel saw it.

Linux stamps every segment on arrival and hands the stamp of the last segment of a
read over with ``recvmsg`` (``SO_TIMESTAMPNS``, kernel documentation
``networking/timestamping.rst``; ``SO_TIMESTAMPING`` tells the same in 48 bytes instead
of 16). It is off the scheduling of the reader: a client that comes 20 ms late still
learns when the bytes came.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import time
from collections.abc import Sequence
from operator import le
from typing import TYPE_CHECKING

from harness.wire.exchange import Clock, Read

if TYPE_CHECKING:
    import _socket

Ancillary = Sequence[tuple[int, int, bytes]]
"""What ``recvmsg`` returns beside the bytes: (level, type, data) triples."""

RawRead = tuple[int, bytes, Ancillary]
"""One read as recorded: CLOCK_MONOTONIC ns after it returned, the bytes, the ancillary data."""

ANCILLARY_BYTES = 64
"""Room to ask of ``recvmsg`` for the ancillary data."""

STAMP_BYTES = 16
"""Length of one ``struct timespec``, which the ancillary data is."""

_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")
_SUPPORTED = sys.platform == "linux" and _TIMESPEC.size == STAMP_BYTES
_PAIRS = 5
_CLOSE_NS = 200
_PROBES = 100
_CLOCK_STEP_NS = 1_000_000


def enable(sock: _socket.socket) -> bool:
    """Ask the kernel to stamp what arrives at ``sock``; False where it cannot."""
    if not _SUPPORTED:
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


async def switch_on() -> socket.socket:
    """Return an idle socket that keeps stamping switched on until it is closed.

    The kernel switches stamping on for the whole machine with the first socket that
    asks for it, and takes some milliseconds to do so. Until then arrivals bear no
    stamp; this waits until they do, or at most a tenth of a second.
    """
    keeper = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if enable(keeper):
        for _ in range(_PROBES):
            if _working():
                break
            await asyncio.sleep(0.001)
    return keeper


def _working() -> bool:
    """Tell whether a byte sent over loopback arrives with a stamp."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=1) as sender,
        listener.accept()[0] as receiver,
    ):
        enable(receiver)
        sender.sendall(b"x")
        receiver.settimeout(1)
        return realtime_ns(receiver.recvmsg(1, ANCILLARY_BYTES)[1]) is not None


def offset_ns() -> int:
    """Measure CLOCK_MONOTONIC minus CLOCK_REALTIME in nanoseconds.

    The best of a few pairs: the first with a bracket below 200 ns, else the smallest.
    """
    smallest, best = sys.maxsize, 0
    for _ in range(_PAIRS):
        before = time.monotonic_ns()
        real = time.time_ns()
        after = time.monotonic_ns()
        if after - before < smallest:
            smallest, best = after - before, (before + after) // 2 - real
            if smallest < _CLOSE_NS:
                break
    return best


def realtime_ns(ancillary: Ancillary) -> int | None:
    """Find the arrival in ``ancillary`` as CLOCK_REALTIME nanoseconds, None if absent."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            if seconds:
                return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return None


def unpacked(stamps: bytes | bytearray, reads: int) -> list[int | None]:
    """Turn packed ``struct timespec`` into CLOCK_REALTIME nanoseconds, None for zero.

    There is one for each of ``reads``; those that are missing at the end count as zero.
    """
    whole = len(stamps) // STAMP_BYTES * STAMP_BYTES
    pairs = struct.iter_unpack("=qq", memoryview(stamps)[:whole])
    found: list[int | None] = [
        seconds * 1_000_000_000 + nanoseconds if seconds else None for seconds, nanoseconds in pairs
    ]
    return found + [None] * (reads - len(found))


def settle(
    raw: Sequence[RawRead], *, offset_before_ns: int | None, connected_ns: int | None
) -> tuple[Clock, tuple[Read, ...]]:
    """Choose one clock for a whole exchange that has just ended and stamp its reads with it."""
    return choose(
        [data for _, data, _ in raw],
        seen=[seen for seen, _, _ in raw],
        arrived=[realtime_ns(ancillary) for _, _, ancillary in raw],
        offset_before_ns=offset_before_ns,
        offset_after_ns=offset_ns(),
        connected_ns=connected_ns,
    )


def choose(
    pieces: Sequence[bytes],
    *,
    seen: Sequence[int],
    arrived: Sequence[int | None],
    offset_before_ns: int | None,
    offset_after_ns: int,
    connected_ns: int | None,
) -> tuple[Clock, tuple[Read, ...]]:
    """Choose one clock for a whole exchange and stamp its reads with it.

    The kernel's stamps (``arrived``, CLOCK_REALTIME) are taken only where every read has
    one, the realtime clock was not stepped between the two offsets (``offset_before_ns`` is
    None where stamps were never asked for), and they rise from ``connected_ns`` without
    passing the moment the read returned (``seen``, CLOCK_MONOTONIC). Otherwise every stamp is
    the reader's own: two clocks are never mixed.
    """
    if offset_before_ns is not None and connected_ns is not None and pieces:
        stamped = [real + offset_before_ns for real in arrived if real is not None]
        believed = (
            len(stamped) == len(pieces)
            and abs(offset_after_ns - offset_before_ns) <= _CLOCK_STEP_NS
            and all(map(le, [connected_ns, *stamped], stamped))
            and all(map(le, stamped, seen))
        )
        if believed:
            return Clock.KERNEL, tuple(map(Read, stamped, pieces))
    return Clock.USER, tuple(map(Read, seen, pieces))
