"""Serves descriptors that are ready: what runs for every read of every stream.

Nearly all reads of a load are the next piece of a streamed body, of which nothing has to be
known but that it is not the last. They are taken here, in one loop; everything else is handed to
the connection it belongs to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from harness.wire import stamps
from harness.wire._shared import READ_BYTES
from harness.wire.engine.natives import IN

if TYPE_CHECKING:
    import _socket
    from collections.abc import Sequence

    from harness.wire.engine.natives import Poller

Served = Callable[[int], object]
"""What serves a descriptor: called with what the poller reported of it."""

_CR = 13
LONG = 4096
"""Bytes of a read from which on its connection looks how much has come in all."""


class Taker(Protocol):
    """Whose answer it is that is being read."""

    def take(self, data: bytes, ancillary: stamps.Ancillary, seen_ns: int) -> None:
        """Take one read, which may be the last."""

    def broke(self, error: OSError) -> None:
        """The connection broke while the answer came."""


class Intake:
    """Which descriptors are watched, and what serves each of them."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._served: dict[int, Served] = {}
        self._streams: list[tuple[_socket.socket, list[bytes | int], Taker] | None] = []

    def watch(self, fd: int, mask: int, serve: Served) -> None:
        """Have ``serve`` called when ``fd`` is ready for what ``mask`` says."""
        self._streams += [None] * (fd + 1 - len(self._streams))
        self._served[fd] = serve
        self._poller.register(fd, mask)

    def change(self, fd: int, mask: int) -> None:
        """Watch ``fd``, which is watched, for something else."""
        self._poller.modify(fd, mask)

    def forget(self, fd: int) -> None:
        """Watch ``fd`` no more, if it is watched."""
        if self._served.pop(fd, None) is not None:
            self._streams[fd] = None
            self._poller.unregister(fd)

    def stream(self, sock: _socket.socket, kept: list[bytes | int], taker: Taker) -> None:
        """Keep what comes at ``sock`` in ``kept`` from now on, as `Flight.kept` says.

        What may end a chunked body, is long, or bears no stamp goes to ``taker`` instead.
        """
        self._streams[sock.fileno()] = sock, kept, taker

    def pause(self, sock: _socket.socket) -> None:
        """Have all that comes at ``sock`` served by what it is watched with again."""
        self._streams[sock.fileno()] = None

    def serve(self, events: Sequence[tuple[int, int]]) -> None:
        """Serve what the poller reported."""
        streams, now, read_bytes, room = self._streams, _now, READ_BYTES, stamps.ANCILLARY_BYTES
        for fd, mask in events:
            stream = streams[fd]
            if stream is None or mask != IN:
                serve = self._served.get(fd)
                if serve is not None:
                    serve(mask)
                continue
            sock, kept, taker = stream
            try:
                data, ancillary, _, _ = sock.recvmsg(read_bytes, room)
                seen_ns = now()
                stamp = ancillary[0][2]
                plain = data[-4] != _CR and len(data) < LONG
            except IndexError:  # no stamp, or next to no data
                plain = False
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                taker.broke(error)
                continue
            if plain:
                kept.append(data)
                kept.append(seen_ns)
                kept.append(stamp)
            else:
                taker.take(data, ancillary, seen_ns)


_now = time.monotonic_ns
