"""A server whose every event says when it was sent: the truth that clients are held against.

``python timed_server.py EVENTS FIRST_MS GAP_MS`` prints its port and serves until SIGTERM. It
answers any POST with an OpenAI chat stream of EVENTS tokens, one a chunk, and a last write with
finish reason, usage and ``[DONE]``. The first token comes FIRST_MS after the request, the rest
GAP_MS apart, on a schedule that a late server does not let slip. ``"at"`` in a chunk is
CLOCK_MONOTONIC in nanoseconds just before it was handed to the kernel.

``--spread 0.5`` varies the number of tokens by half up and down, from a seeded sequence: streams
of one length end and begin in step. ``--processes N`` share the port (SO_REUSEPORT). With
``--ledger FOLDER`` each process leaves there, on SIGTERM, for each request the kernel's stamp of
its arrival and the stamps of its tokens: `read_ledger`.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import time
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

SO_TIMESTAMPING, SOFTWARE_STAMPS = 37, (1 << 3) | (1 << 4)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
SAYS = b'"object":"chat.completion.chunk","created":1767225600,"model":"timed","choices":['
TOKEN = (
    b'cd\r\ndata: {"at":%-16d,"id":"chatcmpl-0123456789",'
    + SAYS
    + b'{"index":0,"delta":{"content":" hello"},"finish_reason":null}]}   \n\n\r\n'
)
END = (
    b'data: {"id":"chatcmpl-0123456789",'
    + SAYS
    + b'{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    + b'data: {"id":"chatcmpl-0123456789",'
    + SAYS
    + b'],"usage":{"prompt_tokens":8,"completion_tokens":%d,"total_tokens":%d}}\n\n'
    + b"data: [DONE]\n\n"
)
MODELS = {"object": "list", "data": [{"id": "timed", "object": "model", "owned_by": "nobody"}]}


@dataclass(frozen=True, slots=True)
class Served:
    """What the server did for one request, in CLOCK_MONOTONIC nanoseconds."""

    asked_ns: int
    at_ns: array[int]


class _Stream:
    """One connection and the answer that is on it."""

    __slots__ = ("asked_ns", "at", "body", "closing", "fd", "left", "said", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.fd = sock, sock.fileno()
        self.said, self.body = b"", -1
        self.closing = False
        self.asked_ns = self.left = 0
        self.at: array[int] = array("q")


class Server:
    """All connections of one process in one loop."""

    def __init__(
        self, listener: socket.socket, events: int, first_ns: int, gap_ns: int, spread: float
    ) -> None:
        self._listener = listener
        self._events, self._first_ns, self._gap_ns = events, first_ns, gap_ns
        self._spread, self._random = spread, random.Random(os.getpid())
        self._poller = select.epoll()
        self._poller.register(listener.fileno(), select.EPOLLIN)
        self._open: dict[int, _Stream] = {}
        self._due: list[tuple[int, int, _Stream]] = []
        self._offset_ns = time.monotonic_ns() - time.time_ns()
        self.ledger: list[Served] = []

    def turn(self) -> None:
        """Wait for a request or for the next event, and serve both."""
        due = self._due
        left_s = (due[0][0] - time.monotonic_ns()) / 1e9 if due else 1.0
        if left_s > 0:
            select.select([self._poller.fileno()], [], [], left_s)
        for fd, _ in self._poller.poll(0, 256):
            if fd == self._listener.fileno():
                self._accept()
            elif fd in self._open:
                self._hear(self._open[fd])
        now = time.monotonic_ns()
        while due and due[0][0] <= now:
            when, _, stream = due[0]
            if stream.left > 0:
                stream.left -= 1
                self._say(stream)
                heapq.heapreplace(due, (when + self._gap_ns, stream.fd, stream))
            else:
                heapq.heappop(due)
                self._finish(stream)

    def _accept(self) -> None:
        for _ in range(64):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open[sock.fileno()] = _Stream(sock)
            self._poller.register(sock.fileno(), select.EPOLLIN)

    def _hear(self, stream: _Stream) -> None:
        try:
            said, ancillary, _, _ = stream.sock.recvmsg(65536, 128)
        except OSError:
            said, ancillary = b"", []
        if not said:
            self._leave(stream)
            return
        stream.said += said
        head, blank, rest = stream.said.partition(b"\r\n\r\n")
        if not blank:
            return
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line[:15] == b"content-length:"), 0)
        if len(rest) < length:
            return
        stream.said = rest[length:]
        stream.closing = b"connection: close" in lines
        if lines[0].startswith(b"get /v1/") or lines[0].startswith(b"get /health"):
            self._reply(stream, MODELS)
            return
        stream.asked_ns = self._offset_ns + arrival_ns(ancillary)
        stream.at = array("q")
        few = self._events * (1 - self._spread)
        many = self._events * (1 + self._spread)
        stream.left = round(self._random.uniform(few, many))
        self._send(stream, HEAD)
        heapq.heappush(self._due, (time.monotonic_ns() + self._first_ns, stream.fd, stream))

    def _reply(self, stream: _Stream, value: object) -> None:
        body = json.dumps(value).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._send(stream, head % len(body) + body)
        if stream.closing:
            self._leave(stream)

    def _say(self, stream: _Stream) -> None:
        now = time.monotonic_ns()
        stream.at.append(now)
        self._send(stream, TOKEN % now)

    def _finish(self, stream: _Stream) -> None:
        if self._open.get(stream.fd) is not stream:
            return  # its client left: no whole answer, no truth
        tokens = len(stream.at)
        self.ledger.append(Served(stream.asked_ns, stream.at))
        end = END % (tokens, tokens + 8)
        self._send(stream, b"%x\r\n%b\r\n0\r\n\r\n" % (len(end), end))
        if stream.closing:
            self._leave(stream)

    def _send(self, stream: _Stream, data: bytes) -> None:
        try:
            stream.sock.send(data)
        except OSError:  # it left, or reads so slowly that its buffer is full: both end it
            self._leave(stream)

    def _leave(self, stream: _Stream) -> None:
        stream.left = 0
        if self._open.pop(stream.fd, None) is stream:
            self._poller.unregister(stream.fd)
            stream.sock.close()


def arrival_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    """When it arrived in CLOCK_REALTIME nanoseconds, as the kernel says; else now."""
    for _, kind, data in ancillary:
        if kind == SO_TIMESTAMPING and len(data) >= 16:
            seconds, nanoseconds = struct.unpack_from("@ll", data)
            if seconds:
                return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()


def write_ledger(path: Path, ledger: list[Served]) -> None:
    """Write ``ledger`` as 64-bit integers: arrival, number of tokens, their stamps; and again."""
    with path.open("wb") as file:
        for served in ledger:
            (array("q", [served.asked_ns, len(served.at_ns)]) + served.at_ns).tofile(file)


def read_ledger(folder: Path) -> list[Served]:
    """Read what all processes of a server left in ``folder``, in order of arrival."""
    found: list[Served] = []
    for path in folder.glob("*.ledger"):
        numbers = array("q", path.read_bytes())
        at = 0
        while at < len(numbers):
            asked_ns, count = numbers[at], numbers[at + 1]
            found.append(Served(asked_ns, numbers[at + 2 : at + 2 + count]))
            at += 2 + count
    return sorted(found, key=lambda served: served.asked_ns)


def listen(port: int) -> socket.socket:
    """A listener on ``port`` that other processes may share, whose connections bear stamps."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, SOFTWARE_STAMPS)
    listener.bind(("127.0.0.1", port))
    listener.listen(4096)
    listener.setblocking(False)
    return listener


def serve(listener: socket.socket, given: argparse.Namespace) -> None:
    """Serve until SIGTERM, then write the ledger."""
    first_ns, gap_ns = round(given.first_ms * 1e6), round(given.gap_ms * 1e6)
    server = Server(listener, given.events, first_ns, gap_ns, given.spread)

    def leave(*_: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would cut the ledger off
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    try:
        while True:
            server.turn()
    except (SystemExit, KeyboardInterrupt):
        if given.ledger is not None:
            write_ledger(given.ledger / f"{os.getpid()}.ledger", server.ledger)


def main(arguments: list[str]) -> None:
    """Start the processes, print the port, and wait for their end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("events", type=int)
    parser.add_argument("first_ms", type=float)
    parser.add_argument("gap_ms", type=float)
    parser.add_argument("--spread", type=float, default=0.0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--ledger", type=Path)
    given = parser.parse_args(arguments)
    first = listen(0)
    port = first.getsockname()[1]
    listeners = [first, *(listen(port) for _ in range(given.processes - 1))]
    children = []
    for listener in listeners[1:]:
        if child := os.fork():
            children.append(child)
        else:
            serve(listener, given)
            os._exit(0)
    print(port, flush=True)  # noqa: T201 - how the caller learns it
    serve(first, given)
    for child in children:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
