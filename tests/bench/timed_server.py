"""A server whose every event says when it was sent: the truth that clients are held against.

``python timed_server.py EVENTS FIRST_MS GAP_MS`` prints its port and serves until it is killed.
Each answer is a chunked stream of EVENTS events; ``"at"`` in an event is CLOCK_MONOTONIC in
nanoseconds just before the event was handed to the kernel. The first comes FIRST_MS after the
request, the others GAP_MS apart, on a schedule that a late server does not let slip.
"""

from __future__ import annotations

import heapq
import select
import socket
import sys
import time

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
FILLING = b"x" * 140


class Server:
    """All connections in one loop."""

    def __init__(self, events: int, first_ns: int, gap_ns: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._events, self._first_ns, self._gap_ns = events, first_ns, gap_ns
        self._poller = select.epoll()
        self._poller.register(self.listener.fileno(), select.EPOLLIN)
        self._open: dict[int, socket.socket] = {}
        self._closing: dict[int, bool] = {}
        self._due: list[tuple[int, int, int]] = []  # when, descriptor, events left

    def turn(self) -> None:
        """Wait for a request or for the next event, and serve both."""
        due = self._due
        left_s = (due[0][0] - time.monotonic_ns()) / 1e9 if due else 1.0
        if left_s > 0:
            select.select([self._poller.fileno()], [], [], left_s)
        for fd, _ in self._poller.poll(0, 64):
            if fd == self.listener.fileno():
                self._accept()
            elif fd in self._open:
                self._hear(fd)
        now = time.monotonic_ns()
        while due and due[0][0] <= now:
            self._say(*heapq.heappop(due))

    def _accept(self) -> None:
        sock, _ = self.listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open[sock.fileno()] = sock
        self._poller.register(sock.fileno(), select.EPOLLIN)

    def _hear(self, fd: int) -> None:
        if said := self._open[fd].recv(65536):
            self._closing[fd] = b"connection: close" in said.lower()
            self._open[fd].send(HEAD)
            heapq.heappush(self._due, (time.monotonic_ns() + self._first_ns, fd, self._events))
        else:
            self._leave(fd)

    def _leave(self, fd: int) -> None:
        self._poller.unregister(fd)
        self._open.pop(fd).close()

    def _say(self, when: int, fd: int, left: int) -> None:
        event = b'data: {"at":%d,"x":"%b"}\n\n' % (time.monotonic_ns(), FILLING)
        last = b"" if left > 1 else b"0\r\n\r\n"
        self._open[fd].send(b"%x\r\n%b\r\n%b" % (len(event), event, last))
        if left > 1:
            heapq.heappush(self._due, (when + self._gap_ns, fd, left - 1))
        elif self._closing[fd]:
            self._leave(fd)


if __name__ == "__main__":
    count, *milliseconds = sys.argv[1:]
    server = Server(int(count), *(int(float(text) * 1e6) for text in milliseconds))
    print(server.listener.getsockname()[1], flush=True)  # noqa: T201 - how the caller learns it
    while True:
        server.turn()
