"""TLS around one exchange, without letting go of the stamps underneath.

The handshake is part of connecting. After it each read of ciphertext keeps its stamp, the kernel's
where there is one, and its bytes are the plaintext that became readable with it (RFC 8446 section
5). Decrypting meanwhile is the one exception to doing nothing else: only the plaintext says that
the peer is done, and many wait for our close_notify before they close the connection.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from harness.wire._shared import READ_BYTES

if TYPE_CHECKING:
    import asyncio
    import socket

CUT = "the connection ended without TLS close_notify (RFC 8446 section 6.1): it may have been cut"


@cache
def default_context() -> ssl.SSLContext:
    """Certificates and host names are verified against the system's authorities.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name others, as OpenSSL reads them.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Tunnel:
    """The TLS side of one connection."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self.over = False
        """The peer said close_notify: nothing more comes."""

    async def shake_hands(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        """Agree with the peer on ``sock``, which is connected.

        Raises:
            OSError: it broke; `ssl.SSLError`, which is one, where it is not trusted.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush(loop, sock)
                data = await loop.sock_recv(sock, READ_BYTES)
                if not data:
                    raise ConnectionResetError("the peer left during the TLS handshake") from None
                self._incoming.write(data)
            except ssl.SSLError:
                await self._flush(loop, sock)  # the alert that tells the peer why
                raise
            else:
                return await self._flush(loop, sock)

    def seal(self, payload: bytes) -> bytes:
        """Return ``payload`` as the ciphertext to send."""
        self._tls.write(payload)
        return self._outgoing.read()

    def open(self, data: bytes) -> bytes:
        """Return the plaintext that became readable with ``data``; sets `over` at the end.

        Raises:
            ssl.SSLError: a record was altered, or is none.
        """
        self._incoming.write(data)
        plain = bytearray()
        try:
            while part := self._tls.read(READ_BYTES):
                plain += part
            self.over = True
        except ssl.SSLWantReadError:
            pass
        return bytes(plain)

    def farewell(self) -> bytes:
        """Return our own close_notify, for which some peers wait before they close."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        return self._outgoing.read()

    async def _flush(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        if data := self._outgoing.read():
            await loop.sock_sendall(sock, data)
