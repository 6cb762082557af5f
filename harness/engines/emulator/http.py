"""HTTP/1.1 as the emulator reads and writes it.

h11 reads: requests are parsed by a careful implementation. The emulator writes by hand, because
it has to know every byte, and because nothing else keeps up with thousands of streams.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HEAD_LIMIT = 64 * 1024
_BODY_LIMIT = 32 * 1024 * 1024
_REASONS = {status.value: status.phrase for status in HTTPStatus}

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class BadRequestError(ValueError):
    """Bytes that are no HTTP request; ``status`` is what they deserve."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was read; header names are lower case, of several equal ones the last."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    chunks: bool = True
    """The client knows chunked coding (HTTP/1.1)."""
    keep_alive: bool = True

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def bearer(self) -> str | None:
        """The token of ``Authorization: Bearer`` (RFC 6750, 2.1), if any."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None


class RequestReader:
    """Makes requests out of the bytes of one connection, one after another."""

    def __init__(self) -> None:
        self._fresh(b"")

    def _fresh(self, data: bytes) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_LIMIT)
        self._head: h11.Request | None = None
        self._body = bytearray()
        if data:
            self._http.receive_data(data)

    @property
    def wants_continue(self) -> bool:
        """The client waits for "100 Continue" before it sends the body (RFC 9110, 10.1.1)."""
        return self._http.they_are_waiting_for_100_continue

    def continued(self) -> None:
        """It was told to go on."""
        self._http.send(h11.InformationalResponse(status_code=100, headers=[]))

    def feed(self, data: bytes) -> None:
        """Take what the socket gave."""
        self._http.receive_data(data)

    def next(self) -> Request | None:
        """The next whole request, or None until more bytes are fed.

        Raises:
            BadRequestError: the bytes are not HTTP, or too many.
        """
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise BadRequestError(error.error_status_hint, str(error)) from error
            if isinstance(event, h11.Request):
                self._head = event
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > _BODY_LIMIT:
                    raise BadRequestError(413, f"more than {_BODY_LIMIT} bytes of body")
            elif isinstance(event, h11.EndOfMessage) and self._head is not None:
                return self._finish(self._head)
            else:
                return None

    def _finish(self, head: h11.Request) -> Request:
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
        modern = head.http_version >= b"1.1"
        request = Request(
            method=head.method.decode("ascii"),
            target=head.target.decode("ascii"),
            headers=headers,
            body=bytes(self._body),
            chunks=modern,
            keep_alive=modern and "close" not in headers.get("connection", "").lower(),
        )
        self._fresh(self._http.trailing_data[0])
        return request


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """Status line and headers, with the empty line that ends them."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def chunk(data: bytes) -> bytes:
    """One chunk of chunked transfer coding (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def date(at: float) -> str:
    """An IMF-fixdate (RFC 9110, 5.6.7)."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(at))
