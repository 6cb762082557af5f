"""A server whose timing is known: it streams on a schedule and keeps a ledger of every write.

``python server.py`` prints its port and serves until its standard input ends, which it does
when whoever started it is gone. Standard library only, and a process of its own: what it says it
did must not depend on the client that is held against it.

``POST /v1/chat/completions?tag=T&tokens=N&first_us=F&gap_us=G`` answers with a stream of OpenAI
chunks: N tokens, the first F microseconds after the request arrived, the others G apart, and one
gap later the end. Due times are absolute: a write that is late does not delay the next.
``GET /ledger`` answers with what was sent since it was last asked: a line of JSON, ``[[tag,
arrived_ns, tokens sent, whole], ...]``, and then, for each token of each answer in that order,
two 64-bit integers, CLOCK_MONOTONIC just before and just after the kernel took it.
"""

from __future__ import annotations

import gc
import heapq
import json
import re
import select
import socket
import struct
import sys
import time
from array import array

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNK = (
    '{"id":"chatcmpl-reference","object":"chat.completion.chunk","created":1,"model":"reference",'
    '"choices":[{"index":0,"delta":%s,"finish_reason":%s}]%s}'
)
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length:[ \t]*(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"connection:[ \t]*close", re.IGNORECASE)
_TARGET = re.compile(
    rb"POST [^ ?]*\?tag=([\w.-]+)&tokens=(\d+)&first_us=(\d+)&gap_us=(\d+)(?:&\S*)? "
)
_SO_TIMESTAMPING, _RX_SOFTWARE, _SOFTWARE = 37, 1 << 3, 1 << 4  # as in harness.wire.stamps
_TIMESPEC = struct.Struct("@ll")
_EVENTS_A_TURN = 64
_now = time.monotonic_ns


def _framed(*events: str) -> bytes:
    text = b"".join(b"data: %b\n\n" % event.encode() for event in events)
    return b"%x\r\n%b\r\n" % (len(text), text)


TOKEN = _framed(_CHUNK % ('{"content":" measured"}', "null", ""))


def ending(tokens: int) -> bytes:
    """What follows the last token: finish reason, usage, end marker and end of the message."""
    usage = ',"usage":{"prompt_tokens":1,"completion_tokens":%d,"total_tokens":%d}'
    finish = _CHUNK % ("{}", '"stop"', usage % (tokens, tokens + 1))
    return _framed(finish, "[DONE]") + b"0\r\n\r\n"


class Stream:
    """One answer, and the ledger of it."""

    __slots__ = ("after", "arrived_ns", "before", "gap_ns", "peer", "tag", "tokens", "whole")

    def __init__(self, peer: Peer, tag: str, tokens: int, gap_ns: int, arrived_ns: int) -> None:
        self.peer, self.tag = peer, tag
        self.tokens, self.gap_ns, self.arrived_ns = tokens, gap_ns, arrived_ns
        self.before: array[int] = array("q")
        self.after: array[int] = array("q")
        self.whole = False


class Peer:
    """One connection, and what of a request has arrived on it."""

    __slots__ = ("closes", "heard", "sock", "stream")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.heard = b""
        self.closes = False
        self.stream: Stream | None = None


class Server:
    """All connections in one loop."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listener.setblocking(False)
        self._poller = select.epoll()
        self._poller.register(self.listener.fileno(), select.EPOLLIN)
        self._peers: dict[int, Peer] = {}
        self._due: list[tuple[int, int, Stream]] = []
        self._lifeline = -1
        self._turns = 0
        self._ended: list[Stream] = []

    def watch(self, fd: int) -> None:
        """End when ``fd`` does."""
        self._poller.register(fd, select.EPOLLIN | select.EPOLLHUP)
        self._lifeline = fd

    def turn(self) -> bool:
        """Wait for a request or for the next token and serve both; False when it is over."""
        due = self._due
        left_s = (due[0][0] - _now()) / 1e9 if due else 1.0
        if left_s > 0:  # select counts microseconds, epoll whole milliseconds
            select.select([self._poller.fileno()], [], [], left_s)
        for fd, _ in self._poller.poll(0, _EVENTS_A_TURN):
            if fd == self.listener.fileno():
                self._accept()
            elif fd in self._peers:
                self._hear(self._peers[fd])
            elif fd == self._lifeline:
                return False
        now = _now()
        while due and due[0][0] <= now:
            self._say(*heapq.heappop(due))
        return True

    def _accept(self) -> None:
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "linux":
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _RX_SOFTWARE | _SOFTWARE)
        self._peers[sock.fileno()] = Peer(sock)
        self._poller.register(sock.fileno(), select.EPOLLIN)

    def _hear(self, peer: Peer) -> None:
        try:
            data, ancillary, _, _ = peer.sock.recvmsg(65_536, 128)
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        arrived_ns = _arrived(ancillary)
        if not data:
            self._leave(peer)
            return
        peer.heard += data
        head, found, body = peer.heard.partition(_HEAD_END)
        length = _LENGTH.search(head)
        if not found or len(body) < (int(length[1]) if length else 0):
            return
        peer.heard, peer.closes = b"", _CLOSE.search(head) is not None
        if asked := _TARGET.match(head):
            tag, tokens, first_us, gap_us = asked.groups()
            stream = Stream(peer, tag.decode(), int(tokens), int(gap_us) * 1000, arrived_ns)
            peer.stream = stream
            if self._send(peer, HEAD):
                self._put(arrived_ns + int(first_us) * 1000, stream)
        elif head.startswith(b"GET /ledger "):
            self._tell(peer)
        else:
            self._send(peer, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def _put(self, when: int, stream: Stream) -> None:
        self._turns += 1
        heapq.heappush(self._due, (when, self._turns, stream))

    def _say(self, when: int, _: int, stream: Stream) -> None:
        peer = stream.peer
        if peer.stream is not stream:
            return  # the client left
        if len(stream.before) < stream.tokens:
            before = _now()
            if self._send(peer, TOKEN):
                stream.before.append(before)
                stream.after.append(_now())
                self._put(when + stream.gap_ns, stream)
            return
        stream.whole = True
        peer.stream = None
        self._ended.append(stream)
        if self._send(peer, ending(stream.tokens)) and peer.closes:
            self._leave(peer)

    def _send(self, peer: Peer, data: bytes) -> bool:
        """Send all of it, or leave: a peer whose buffers are full would hold everybody up."""
        try:
            if peer.sock.send(data) == len(data):
                return True
        except OSError:
            pass
        self._leave(peer)
        return False

    def _leave(self, peer: Peer) -> None:
        if peer.stream is not None:
            self._ended.append(peer.stream)
            peer.stream = None
        if self._peers.pop(peer.sock.fileno(), None) is not None:
            self._poller.unregister(peer.sock.fileno())
            peer.sock.close()

    def _tell(self, peer: Peer) -> None:
        ended, self._ended = self._ended, []
        index = [[each.tag, each.arrived_ns, len(each.after), each.whole] for each in ended]
        stamps: array[int] = array("q")
        for each in ended:
            for before, after in zip(each.before, each.after, strict=True):
                stamps.append(before)
                stamps.append(after)
        body = json.dumps(index).encode() + b"\n" + stamps.tobytes()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
        peer.sock.settimeout(10)
        try:
            peer.sock.sendall(head + body)
        except OSError:
            self._ended = ended + self._ended  # nobody has read it
        self._leave(peer)


def _arrived(ancillary: list[tuple[int, int, bytes]]) -> int:
    """CLOCK_MONOTONIC of the arrival as the kernel stamped it, else now."""
    seen = _now()
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPING) and len(data) >= 16:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            before, real, after = _now(), time.time_ns(), _now()
            arrived = seconds * 1_000_000_000 + nanoseconds + (before + after) // 2 - real
            if seconds and after - before < 100_000 and 0 <= seen - arrived < 10_000_000_000:
                return int(arrived)
    return seen


if __name__ == "__main__":
    gc.disable()  # nothing here is cyclic but what lives as long as the process
    server = Server()
    server.watch(sys.stdin.fileno())
    print(server.listener.getsockname()[1], flush=True)  # noqa: T201 - how the caller learns it
    while server.turn():
        pass
