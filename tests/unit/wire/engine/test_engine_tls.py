from __future__ import annotations

import ssl
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from harness.wire import Clock, End, Exchange, Request, frames, parse
from harness.wire.engine import LoadEngine, Recorded
from harness.wire.tls import CUT

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_S = 30
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = [b"9\r\ndata: %d\n\n\r\n" % n for n in range(5)]
LAST = b"0\r\n\r\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def sealed(
    authority: trustme.CA, script: Callable[[ssl.SSLSocket], None], name: str = "127.0.0.1"
) -> Callable[[Any], None]:
    """``script`` on the server's side of a TLS connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)

    def visit(plain: Any) -> None:
        with context.wrap_socket(plain.sock, server_side=True) as sock:
            script(sock)

    return visit


def ask(url: str, trust: ssl.SSLContext, times: int = 1) -> list[Recorded]:
    request = Request(method="GET", url=url.replace("http:", "https:"))
    with LoadEngine(trust=trust, timeout_s=LIMIT_S, rest_s=0.0) as engine:
        return [engine.submit(request).wait(LIMIT_S) for _ in range(times)]


def test_a_stream_over_tls_is_recorded_as_plaintext_with_the_stamps_beneath(
    serving: Any, authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    def script(sock: ssl.SSLSocket) -> None:
        while sock.recv(4096):
            sock.sendall(CHUNKED)
            for event in EVENTS:
                sock.sendall(event)
            sock.sendall(LAST)

    with serving(sealed(authority, script)) as url:
        recorded = ask(url, trust, times=2)

    assert [(r.exchange.end, r.use) for r in recorded] == [(End.KEPT, 1), (End.KEPT, 2)]
    for one in recorded:
        found = frames(parse(one.exchange).pieces)
        assert [frame.data for frame in found] == [b"%d" % n for n in range(5)]
        assert one.exchange.clock is (Clock.KERNEL if sys.platform == "linux" else Clock.USER)


def test_an_end_with_close_notify_is_orderly(
    serving: Any, authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    def script(sock: ssl.SSLSocket) -> None:
        sock.recv(4096)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
        sock.unwrap()

    with serving(sealed(authority, script)) as url:
        exchange = ask(url, trust)[0].exchange

    assert exchange.end is End.EOF
    assert parse(exchange).body == b"hello"


def test_an_end_without_close_notify_may_have_been_cut(
    serving: Any, authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    def script(sock: ssl.SSLSocket) -> None:
        sock.recv(4096)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")

    with serving(sealed(authority, script)) as url:
        exchange = ask(url, trust)[0].exchange

    assert (exchange.end, exchange.detail) == (End.RESET, CUT)
    assert not parse(exchange).complete


def test_a_certificate_for_another_name_is_refused(
    serving: Any, authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    heard: list[bytes] = []

    def script(sock: ssl.SSLSocket) -> None:
        heard.append(sock.recv(4096))

    with serving(sealed(authority, script, name="other.test")) as url:
        exchange = ask(url, trust)[0].exchange

    assert exchange.end is End.UNREACHABLE
    assert "certificate" in exchange.detail.lower()
    assert not any(heard)


def test_a_handshake_that_never_ends_meets_the_deadline(
    serving: Any, trust: ssl.SSLContext
) -> None:
    def ask_once(url: str) -> Exchange:
        request = Request(method="GET", url=url.replace("http:", "https:"))
        with LoadEngine(trust=trust, timeout_s=0.05) as engine:
            return engine.submit(request).wait(LIMIT_S).exchange

    with serving(lambda visit: visit.gone()) as url:
        assert ask_once(url).end is End.TIMEOUT


def test_a_peer_that_leaves_during_the_handshake_is_an_ending(
    serving: Any, trust: ssl.SSLContext
) -> None:
    left = threading.Event()

    def script(visit: Any) -> None:
        visit.sock.recv(10_000)
        left.set()

    with serving(script) as url:
        exchange = ask(url, trust)[0].exchange

    assert left.is_set()
    assert exchange.end is End.RESET
    assert "during the TLS handshake" in exchange.detail
