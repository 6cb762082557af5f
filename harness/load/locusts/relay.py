"""Requests that follow one another: in a closed loop without waking the user in between."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import gevent
from gevent.hub import Waiter

from harness.wire import End, WireError
from harness.wire.engine.natives import lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.locusts.ahead import Turn
    from harness.wire.engine import Recorded, Ticket

_WATCH_S = 0.02


class _Place:
    """A user of a closed loop, as the engine's thread sees it."""

    __slots__ = ("follows", "gone", "ticket", "trouble", "waiter")

    def __init__(self, follows: Callable[[], Turn | None]) -> None:
        self.follows = follows
        self.waiter: Any = Waiter()
        self.ticket: Ticket | None = None
        self.gone = False
        self.trouble: WireError | None = None


class Relay:
    """Asks, and when an answer has ended asks what follows, in the thread in which it ended.

    To wake a greenlet for each answer costs both threads as much as a fifth of the answer did,
    and the next request waits for it. So a user says once what follows, and is woken when nothing
    does. ``submit`` hands a request to the engine, now or for a scheduled moment; ``land`` gets
    every recording with its request and when that was asked (``at_s``), in the engine's thread,
    after what follows was asked; ``post`` has something called in the event loop (`Mailbox.post`).
    """

    def __init__(
        self,
        submit: Callable[[Turn, int | None], Ticket],
        land: Callable[[Recorded, Turn, float], None],
        post: Callable[[Callable[[Any], object], object], None],
        at_s: Callable[[], float],
    ) -> None:
        self._submit, self._land, self._post, self._at_s = submit, land, post, at_s
        self._under_way: dict[str, Ticket] = {}
        self._lock = lock()  # a native one: the engine's thread takes it too
        self.ending = False
        """Whether nothing more is asked."""
        self.given_up = 0
        """Requests that were cancelled here before they had ended."""

    @property
    def under_way(self) -> int:
        """How many requests are."""
        return len(self._under_way)

    def play(self, turn: Turn, follows: Callable[[], Turn | None]) -> Recorded:
        """Ask ``turn``, then what ``follows`` says when an answer was given, until it says None.

        Suspends this greenlet alone, and returns the last recording, which was given no answer if
        nothing was asked for that reason. ``follows`` is called in the engine's thread. A greenlet
        that is killed meanwhile gives its request up, and no row is made of it.

        Raises:
            WireError: a request cannot be handed over.
        """
        place = _Place(follows)
        self._ask(place, turn, None, self._at_s())
        try:
            recorded: Recorded = place.waiter.get()
        except BaseException:
            place.gone = True
            if place.ticket is not None and place.ticket.recorded is None:
                place.ticket.cancel()
                self.given_up += 1
            raise
        if place.trouble is not None:
            raise place.trouble
        return recorded

    def schedule(self, turn: Turn, due_ns: int, at_s: float) -> None:
        """Ask ``turn`` at that moment, whatever was answered until then. Raises WireError."""
        self._ask(None, turn, due_ns, at_s)

    def end(self) -> None:
        """Ask nothing more."""
        with self._lock:  # whoever was about to ask has asked
            self.ending = True

    def wait(self, timeout_s: float) -> bool:
        """Wait until nothing is under way; False if that took longer."""
        with gevent.Timeout(timeout_s, False):
            while self._under_way:
                gevent.sleep(_WATCH_S)
        return not self._under_way

    def give_up(self) -> None:
        """Cancel what is under way."""
        for ticket in list(self._under_way.values()):
            ticket.cancel()
            self.given_up += 1

    def _ask(self, place: _Place | None, turn: Turn, due_ns: int | None, at_s: float) -> None:
        ticket = self._submit(turn, due_ns)
        self._under_way[ticket.id] = ticket
        if place is not None:
            place.ticket = ticket
        ticket.add_done_callback(partial(self._ended, place, turn, at_s))

    def _ended(self, place: _Place | None, turn: Turn, at_s: float, ticket: Ticket) -> None:
        """Called where the answer ended: in the engine's thread, but for odd moments."""
        recorded = ticket.recorded
        if recorded is None:
            raise RuntimeError("a ticket was called over before it was settled")
        if place is not None and place.gone:
            place = None
            ours = True
        else:
            ours = self.ending
        followed = place is not None and self._followed(place, recorded)
        try:
            if not (ours and recorded.end is End.CANCELLED):
                self._land(recorded, turn, at_s)
        finally:
            self._under_way.pop(ticket.id, None)  # what follows is in it: it never seems to be over
            if place is not None and not followed:
                self._post(place.waiter.switch, recorded)

    def _followed(self, place: _Place, recorded: Recorded) -> bool:
        if not answered(recorded):
            return False
        turn = place.follows()
        if turn is None:
            return False
        try:
            with self._lock:
                if self.ending:
                    return False
                ticket = self._submit(turn, None)
                self._under_way[ticket.id] = place.ticket = ticket
        except WireError as error:
            place.trouble = error
            return False
        if place.gone:  # killed while it was asked
            ticket.cancel()
        ticket.add_done_callback(partial(self._ended, place, turn, self._at_s()))
        return True


def answered(recorded: Recorded) -> bool:
    """Whether the status was 200, as far as the first read tells; nothing else is parsed here."""
    reads = recorded.tape.kept  # not sorted yet, and not to be sorted in the engine's thread
    if reads is None:
        reads = recorded.tape.pieces
    return bool(reads) and reads[0][9:12] == b"200"
