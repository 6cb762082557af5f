"""Host names and their addresses, without ever holding the loop up."""

from __future__ import annotations

import _socket
from typing import TYPE_CHECKING

from harness.wire.engine.natives import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Address = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""As ``getaddrinfo`` gives it: family, kind, protocol, name, address."""


class Names:
    """What names stand for; each is looked up once, in a thread, and again only after a failure.

    ``found`` and ``not_found`` are called in the thread of the loop, through ``post``.
    """

    def __init__(
        self,
        post: Callable[[Callable[[], None]], None],
        found: Callable[[str, int, Sequence[Address]], None],
        not_found: Callable[[str, int, OSError], None],
    ) -> None:
        self._post, self._found, self._not_found = post, found, not_found
        self._known: dict[tuple[str, int], Sequence[Address]] = {}

    def look_up(self, host: str, port: int) -> Sequence[Address] | None:
        """Return the addresses of ``host``; None while a thread asks for those of a name."""
        key = (host, port)
        if key in self._known:
            return self._known[key] or None
        try:
            self._known[key] = _socket.getaddrinfo(
                host, port, type=_socket.SOCK_STREAM, flags=_socket.AI_NUMERICHOST
            )
        except OSError:
            self._known[key] = ()
            start_thread(lambda: self._ask(host, port))
        return self._known[key] or None

    def _ask(self, host: str, port: int) -> None:
        try:
            addresses = _socket.getaddrinfo(host, port, type=_socket.SOCK_STREAM)
        except OSError as error:
            failure = error
            self._post(lambda: self._give_up(host, port, failure))
        else:
            self._post(lambda: self._learn(host, port, addresses))

    def _learn(self, host: str, port: int, addresses: Sequence[Address]) -> None:
        self._known[host, port] = addresses
        self._found(host, port, addresses)

    def _give_up(self, host: str, port: int, error: OSError) -> None:
        del self._known[host, port]  # the next request asks again
        self._not_found(host, port, error)
