"""HTTP/1.1 framing: a request to bytes, recorded bytes to a response (RFC 9112)."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import h11

from harness.wire.exchange import End, Exchange, Header, Read, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_URL = re.compile(r"[!-~]+")
_FORBIDDEN_IN_VALUE = re.compile(r"[\r\n\0]|[^\x00-\xff]")
_OURS = frozenset({"connection", "content-length", "transfer-encoding"})
_PORTS = {"http": 80, "https": 443}
_BODY_EXPECTED = frozenset({"POST", "PUT", "PATCH"})
_HEAD_END = re.compile(rb"\n\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,20})(?:;.*)?[ \t]*")
_LAST_CHUNK = b"0\r\n\r\n"
_MOST_SIZES = 4096
sizes: dict[bytes, int] = {}
"""What `chunk_size` found: streams have few sizes, and each is read once."""
_NO_STATUS_LINE = ("illegal status line", "illegal request line", "no response line")
"""How h11 refuses what no status line begins: which it says depends on how the bytes were cut."""
_NO_CHUNK_END = "malformed chunk footer"
"""Likewise, it shows the part of the wrong bytes that came in the same read."""


class WireError(ValueError):
    """A request that cannot be sent as it was asked for; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a URL points: the address to connect to and what to ask for there."""

    host: str
    port: int
    authority: str
    target: str
    tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What the recorded bytes say as HTTP/1.1.

    ``headers`` have lower-case names, in the order received. ``pieces`` hold the
    body freed of its framing, one piece per read that brought some of it, with the
    stamp of that read; joined they are ``body``. Content codings are left as they are.

    ``complete`` is true when the framing ended as it promised: Content-Length
    reached, last chunk seen, or an orderly close where nothing else was promised.
    ``fault`` says what is wrong; it is empty if and only if nothing is.
    ``status`` is None where no whole response head could be read.
    """

    status: int | None = None
    reason: str = ""
    headers: tuple[Header, ...] = ()
    head_ns: int | None = None
    """Stamp of the read that completed the head."""
    body: bytes = b""
    pieces: tuple[Read, ...] = ()
    complete: bool = False
    fault: str = ""

    def header(self, name: str) -> str | None:
        """Return the value of header ``name`` in any case, None if absent.

        Repeated headers are joined with a comma (RFC 9110 section 5.3).
        """
        wanted = name.lower()
        values = [value for key, value in self.headers if key == wanted]
        return ", ".join(values) if values else None


@lru_cache(maxsize=256)
def endpoint(url: str) -> Endpoint:
    """Split ``url`` into the address to connect to and the request target.

    Raises:
        WireError: The URL is malformed, neither ``http`` nor ``https``, or carries a password.
    """
    shown = url.partition("?")[0]
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise WireError(
            "the URL carries a user name or password, which would end up in recordings. "
            "Send it as an Authorization header."
        )
    if not _URL.fullmatch(url):
        raise WireError(
            f"{shown!r} is not a URL: percent-encode spaces, control and non-ASCII characters."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")  # what the resolver will do, later
    except ValueError as error:
        raise WireError(f"{shown!r} is not a URL: {error}.") from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise WireError(f"{shown!r} is not a URL to connect to: write http://host:port/path.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    tls = parts.scheme == "https"
    return Endpoint(parts.hostname, port or _PORTS[parts.scheme], parts.netloc, target, tls)


def serialise(request: Request, *, keep: bool = False) -> bytes:
    """Return the bytes that put ``request`` on the wire.

    Adds ``Host`` unless given, ``Content-Length`` where there is a body or the method
    implies one, and ``Connection: close``: the end of the answer is then the end of
    the connection, and a body cut short can be told from a whole one. With ``keep`` the
    connection may stay open (HTTP/1.1's default) and the framing alone says where the end is.

    Raises:
        WireError: The URL is unusable, a header would break the framing, or a header
            is one of those set here.
    """
    head = _head(request.method, request.url, tuple(request.headers))
    if request.body or request.method in _BODY_EXPECTED:
        head += b"Content-Length: %d\r\n" % len(request.body)
    return head + (b"\r\n" if keep else b"Connection: close\r\n\r\n") + request.body


@lru_cache(maxsize=64)
def _head(method: str, url: str, headers: tuple[Header, ...]) -> bytes:
    """Write what the requests of a load have in common: all but length and end of the head."""
    where = endpoint(url)
    if not _TOKEN.fullmatch(method):
        raise WireError(f"{method!r} is not an HTTP method: write e.g. GET or POST.")
    lines = [f"{method} {where.target} HTTP/1.1"]
    if not any(name.lower() == "host" for name, _ in headers):
        lines.append(f"Host: {where.authority}")
    lines += [_header_line(name, value) for name, value in headers]
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def _header_line(name: str, value: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise WireError(f"{name!r} is not a header name (RFC 9110 section 5.1).")
    if name.lower() in _OURS:
        raise WireError(f"header {name!r} is set by the client from the body: leave it out.")
    if _FORBIDDEN_IN_VALUE.search(value):
        raise WireError(
            f"the value of header {name!r} holds a line break, NUL or a character outside "
            "ISO-8859-1: strip or percent-encode it."
        )
    return f"{name}: {value}"


def chunk_size(line: bytes) -> int:
    """Read the size in ``line``, with which a chunk begins (RFC 9112 section 7.1), or -1.

    ``line`` is without its end. An extension is skipped, and blanks behind it are as h11 has them.
    """
    size = _CHUNK_SIZE.fullmatch(line)
    if size is None:
        return -1
    if len(sizes) >= _MOST_SIZES:
        sizes.clear()
    sizes[line] = found = int(size[1], 16)
    return found


def parse(exchange: Exchange) -> Response:
    """Read the recorded bytes of ``exchange`` as one HTTP/1.1 response.

    Interim 1xx responses are skipped. Malformed and truncated answers are no errors
    here: they come back with ``complete=False`` and a ``fault``.
    """
    answer = _Answer(exchange)
    try:
        answer.read()
    except h11.RemoteProtocolError as error:
        answer.refuse(str(error))
    return answer.response()


class _Answer:
    """One response in the making.

    h11 reads it. Only the whole chunks at the beginning of a body, which most of a stream are, are
    taken without it: that costs a tenth. From what is none (a trailer, a chunk cut short, no chunk
    at all) h11 reads on: where a chunk begins, it remembers nothing of those before.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.broken = ""
        self._exchange = exchange
        self._reads = [read for read in exchange.reads if read.data]  # h11 takes b"" for the end
        self._head: h11.Response | None = None
        self._head_ns: int | None = None
        self._interim = False
        self._pieces: list[Read] = []
        self._torn = False
        """Whether what comes next is of the same read as the last piece."""
        self._complete = False
        self._closed = False
        self._surplus = 0
        received = sum([len(data) for _, data in self._reads])
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=received)
        # HEAD is the only method whose answer is framed differently (RFC 9112 section 6.3).
        method = "HEAD" if exchange.request.method.upper() == "HEAD" else "GET"
        self._parser.send(h11.Request(method=method, target="/", headers=[("Host", "-")]))
        self._parser.send(h11.EndOfMessage())

    def read(self) -> None:
        """Read all of it. Raises h11.RemoteProtocolError."""
        reads: Sequence[Read] = self._reads
        if reads and (end := _HEAD_END.search(reads[0].data)):
            at_ns, data = reads[0]
            self._feed(at_ns, data[: end.end()])
            body = data[end.end() :]
            reads = [Read(at_ns, body), *reads[1:]] if body else reads[1:]
            if reads and self._chunked:
                reads = self._take_chunks(reads)
        for at_ns, data in reads:
            self._feed(at_ns, data)
        if self._exchange.end is End.EOF:
            self._feed(self._exchange.ended_ns, b"")

    @property
    def _chunked(self) -> bool:
        """Whether chunks are to come. h11 has refused any other coding and knows of no body."""
        head = self._head
        return not (head is None or self._complete) and any(
            name == b"transfer-encoding" for name, _ in head.headers
        )

    def _take_chunks(self, reads: Sequence[Read]) -> Sequence[Read]:
        """Take chunks as long as they are whole; returns what is left of ``reads``."""
        data = b"".join([data for _, data in reads])
        ends = list(accumulate([len(data) for _, data in reads]))
        at, place, stop = 0, 0, ends[0]
        parts: list[bytes] = []
        while (eol := data.find(b"\r\n", at)) >= 0:
            size = sizes.get(line := data[at:eol]) or chunk_size(line)
            begin, end = eol + 2, eol + 2 + size
            if size <= 0 or data[end : end + 2] != b"\r\n":
                break
            at = end + 2
            while end > stop:  # the read ends in the chunk or before it
                if begin < stop:
                    parts.append(data[begin:stop])
                    begin = stop
                if parts:
                    self._pieces.append(Read(reads[place].at_ns, b"".join(parts)))
                    parts = []
                place += 1
                stop = ends[place]
            parts.append(data[begin:end])
        if parts:
            self._pieces.append(Read(reads[place].at_ns, b"".join(parts)))
        if data.startswith(_LAST_CHUNK, at):
            self._complete, self._surplus = True, len(data) - at - len(_LAST_CHUNK)
            return ()
        left = bisect_right(ends, at)
        self._torn = bool(parts) and left == place
        begun = [Read(reads[left].at_ns, data[at : ends[left]])] if at < len(data) else []
        return [*begun, *reads[left + 1 :]]

    def _feed(self, at_ns: int, data: bytes) -> None:
        if self._complete:
            self._surplus += len(data)
            return
        self._closed = not data
        body: list[bytes] = []
        try:
            for event in self._events(data):
                if isinstance(event, h11.Response):
                    self._head, self._head_ns = event, at_ns
                elif isinstance(event, h11.Data):
                    body.append(bytes(event.data))
                else:
                    self._complete = True
                    self._surplus = len(self._parser.trailing_data[0])
        finally:
            if body and self._torn:
                body.insert(0, self._pieces.pop().data)
            if body:
                self._pieces.append(Read(at_ns, b"".join(body)))
            self._torn = False

    def _events(self, data: bytes) -> Iterator[h11.Response | h11.Data | h11.EndOfMessage]:
        self._parser.receive_data(data)
        while not self._complete:
            event = self._parser.next_event()
            if isinstance(event, h11.Response | h11.Data | h11.EndOfMessage):
                yield event
            elif isinstance(event, h11.InformationalResponse):
                self._interim = True
            else:
                return

    def refuse(self, text: str) -> None:
        """Note what h11 says of malformed bytes, in words that no cut changes."""
        if text.startswith(_NO_STATUS_LINE):
            received = b"".join(read.data for read in self._exchange.reads)[:40]
            where = (
                "after an interim response" if self._interim else f"at the start of {received!r}"
            )
            text = f"no HTTP status line {where}"
        elif text.startswith(_NO_CHUNK_END):
            text = "no line break at the end of a chunk"
        self.broken = text

    def response(self) -> Response:
        head = self._head
        body = b"".join(piece.data for piece in self._pieces)
        return Response(
            status=head.status_code if head else None,
            reason=bytes(head.reason).decode("latin-1") if head else "",
            headers=tuple(
                (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
                for name, value in (head.headers if head else ())
            ),
            head_ns=self._head_ns,
            body=body,
            pieces=tuple(self._pieces),
            complete=self._complete,
            fault=self._fault(len(body)),
        )

    def _fault(self, received: int) -> str:
        if self._complete:
            return f"{self._surplus} bytes after the end of the message" if self._surplus else ""
        # Once the peer has closed, h11 complains about the close; what is missing says more.
        if self.broken and not self._closed:
            return self.broken
        exchange = self._exchange
        how = f"{exchange.end}: {exchange.detail}" if exchange.detail else exchange.end.value
        return f"{self._missing(received)} ({how})"

    def _missing(self, received: int) -> str:
        if self._head is None:
            return "the response head is cut short" if self._exchange.reads else "no answer"
        headers = dict(self._head.headers)
        if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
            return f"the last chunk is missing after {received} bytes of body"
        if b"content-length" in headers:
            promised = headers[b"content-length"].decode("latin-1")
            return f"{received} of {promised} bytes of body arrived"
        return f"the body of unknown length stops after {received} bytes without an orderly close"
