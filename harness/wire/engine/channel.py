"""TLS on a connection of the engine, whose loop does the sending and receiving itself."""

from __future__ import annotations

import ssl

from harness.wire import tls


class Channel(tls.Tunnel):
    """The TLS side of one connection: bytes in, bytes out."""

    def shake(self, data: bytes) -> bool:
        """Take ``data`` of the handshake; True when both sides agree.

        Raises:
            ssl.SSLError: the peer is not trusted, or what it said is no TLS.
        """
        if data:
            self._incoming.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def outgoing(self) -> bytes:
        """Return the ciphertext to send."""
        return self._outgoing.read()
