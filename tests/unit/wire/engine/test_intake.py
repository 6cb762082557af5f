"""The next piece of a stream is kept at once; what may be anything else goes to its connection."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from harness.wire import stamps
from harness.wire.engine import natives
from harness.wire.engine.intake import LONG, Intake
from harness.wire.engine.natives import IN
from harness.wire.engine.recorded import UNSTAMPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.wire.engine.natives import Poller

PIECE = b"9\r\ndata: 1\n\n\r\n"


class Taker:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.errors: list[OSError] = []

    def take(self, data: bytes, ancillary: stamps.Ancillary, seen_ns: int) -> None:  # noqa: ARG002
        self.taken.append(data)

    def broke(self, error: OSError) -> None:
        self.errors.append(error)


class Line:
    """A connection of which one end is streamed by an intake."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.theirs = socket.create_connection(listener.getsockname())
            self.ours, _ = listener.accept()
        self.ours.setblocking(False)
        self.stamped = stamps.enable(self.ours)
        self.poller: Poller = natives.poller()
        self.intake, self.taker = Intake(self.poller), Taker()
        self.kept: list[bytes | int] = []
        self.masks: list[int] = []
        self.intake.watch(self.ours.fileno(), IN, self.masks.append)
        self.intake.stream(self.ours, self.kept, self.taker)

    def serve(self) -> None:
        self.intake.serve(self.poller.poll(10.0))

    def close(self) -> None:
        self.intake.forget(self.ours.fileno())
        self.intake.forget(self.ours.fileno())  # once more changes nothing
        self.poller.close()
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def test_the_next_piece_is_kept_with_its_moment_and_its_stamp(line: Line) -> None:
    if not line.stamped:
        pytest.skip("the platform does not stamp")
    kept: list[bytes | int] = []
    while UNSTAMPED in kept or not kept:  # stamping takes a while to be switched on
        line.theirs.sendall(PIECE)
        line.serve()
        kept = line.kept[-3:] if line.kept else [UNSTAMPED]
    data, seen_ns, stamp = kept
    assert (data, type(seen_ns)) == (PIECE, int)
    assert isinstance(stamp, bytes)
    assert struct.unpack("@ll", stamp)[0] > 0
    assert line.masks == []


@pytest.mark.parametrize(
    "data",
    [b"0\r\n\r\n", PIECE + b"0\r\n\r\n", b"\r\n", b"x" * LONG],
    ids=["the end", "a piece and the end", "the rest of the end", "long"],
)
def test_what_may_be_the_end_or_is_long_goes_to_its_taker(line: Line, data: bytes) -> None:
    line.theirs.sendall(data)
    line.serve()
    assert (line.taker.taken, line.kept, line.masks) == ([data], [], [])


def test_a_peer_that_leaves_is_told_to_its_taker(line: Line) -> None:
    line.theirs.close()
    line.serve()
    assert line.taker.taken == [b""]


def test_a_connection_that_breaks_is_told(line: Line) -> None:
    line.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.theirs.close()
    line.poller.poll(10.0)  # it has arrived
    line.intake.serve([(line.ours.fileno(), IN)])
    assert [type(error) for error in line.taker.errors] == [ConnectionResetError]


def test_nothing_to_read_is_nothing_to_tell(line: Line) -> None:
    line.intake.serve([(line.ours.fileno(), IN)])
    assert (line.taker.taken, line.taker.errors, line.kept) == ([], [], [])


def test_another_event_and_a_stream_that_pauses_are_served_as_watched(line: Line) -> None:
    line.intake.serve([(line.ours.fileno(), IN | 0x10)])
    line.intake.pause(line.ours)
    line.intake.serve([(line.ours.fileno(), IN)])
    assert line.masks == [IN | 0x10, IN]


def test_a_descriptor_that_was_forgotten_in_the_same_turn_is_left_alone(line: Line) -> None:
    line.intake.forget(line.ours.fileno())
    line.intake.serve([(line.ours.fileno(), IN)])
    assert line.masks == []
