from __future__ import annotations

import asyncio
import socket
import struct
import time

import pytest

from harness.wire import stamps
from harness.wire.exchange import Clock, Read

MS = 1_000_000


def raw(seen_ns: int, arrived_ns: int | None, data: bytes = b"x") -> stamps.RawRead:
    """A read that returned at ``seen_ns`` and arrived at ``arrived_ns``, both monotonic."""
    if arrived_ns is None:
        return seen_ns, data, []
    real = arrived_ns - stamps.offset_ns()
    spec = struct.pack("@llllll", real // 10**9, real % 10**9, 0, 0, 0, 0)
    return seen_ns, data, [(socket.SOL_SOCKET, 35, spec)]


def settle(*reads: stamps.RawRead, connected_ns: int, step_ns: int = 0) -> Clock:
    clock, stamped = stamps.settle(
        reads, offset_before_ns=stamps.offset_ns() + step_ns, connected_ns=connected_ns
    )
    assert [read.data for read in stamped] == [data for _, data, _ in reads]
    if clock is Clock.USER:
        assert [read.at_ns for read in stamped] == [seen for seen, _, _ in reads]
    return clock


def test_the_offset_turns_the_realtime_clock_into_the_monotonic_one() -> None:
    before = time.monotonic_ns()
    converted = time.time_ns() + stamps.offset_ns()
    after = time.monotonic_ns()

    assert before - MS <= converted <= after + MS


def test_arrivals_stamped_by_the_kernel_are_taken_on_the_monotonic_clock() -> None:
    now = time.monotonic_ns()
    reads = [raw(now + 20 * MS, now + 1 * MS), raw(now + 21 * MS, now + 5 * MS)]

    clock, (first, second) = stamps.settle(
        reads, offset_before_ns=stamps.offset_ns(), connected_ns=now
    )

    assert clock is Clock.KERNEL
    assert first.at_ns == pytest.approx(now + 1 * MS, abs=MS / 2)
    assert second.at_ns == pytest.approx(now + 5 * MS, abs=MS / 2)


def test_one_read_without_a_kernel_stamp_makes_every_stamp_the_readers() -> None:
    now = time.monotonic_ns()

    clock = settle(raw(now + 9 * MS, now + MS), raw(now + 9 * MS, None), connected_ns=now)

    assert clock is Clock.USER


def test_a_stamp_before_the_connection_is_not_believed() -> None:
    now = time.monotonic_ns()

    assert settle(raw(now + 9 * MS, now - 5 * MS), connected_ns=now) is Clock.USER


def test_a_stamp_after_its_own_read_is_not_believed() -> None:
    now = time.monotonic_ns()

    assert settle(raw(now + 1 * MS, now + 9 * MS), connected_ns=now) is Clock.USER


def test_stamps_that_run_backwards_are_not_believed() -> None:
    now = time.monotonic_ns()
    reads = [raw(now + 20 * MS, now + 9 * MS), raw(now + 21 * MS, now + 2 * MS)]

    assert settle(*reads, connected_ns=now) is Clock.USER


def test_a_step_of_the_clock_in_between_is_noticed() -> None:
    now = time.monotonic_ns()

    assert settle(raw(now + 9 * MS, now + MS), connected_ns=now, step_ns=5 * MS) is Clock.USER


def test_where_stamps_were_never_asked_for_the_readers_are_taken() -> None:
    now = time.monotonic_ns()

    settled = stamps.settle([raw(now, now - MS)], offset_before_ns=None, connected_ns=now - MS)

    assert settled == (Clock.USER, (Read(now, b"x"),))


def test_an_exchange_without_reads_claims_no_kernel_stamps() -> None:
    assert stamps.settle([], offset_before_ns=0, connected_ns=None) == (Clock.USER, ())


def test_ancillary_data_of_another_kind_holds_no_stamp() -> None:
    spec = struct.pack("@ll", 1, 1)

    assert stamps.realtime_ns([(socket.SOL_SOCKET, 1, spec)]) is None
    assert stamps.realtime_ns([(socket.SOL_SOCKET, 35, spec[:8])]) is None
    assert stamps.realtime_ns([(socket.SOL_SOCKET, 35, struct.pack("@ll", 0, 0))]) is None


def test_a_socket_that_cannot_stamp_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as sock:
        monkeypatch.setattr(stamps, "_SO_TIMESTAMPNS", -1)
        assert not stamps.enable(sock)


def test_once_switched_on_the_first_byte_bears_a_stamp() -> None:
    if not stamps._SUPPORTED:
        pytest.skip("this platform stamps no arrivals (SO_TIMESTAMPNS)")
    with asyncio.run(stamps.switch_on()):
        assert stamps._working()


def test_where_nothing_is_stamped_switching_on_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stamps, "_SUPPORTED", False)
    monkeypatch.setattr(stamps, "_working", lambda: pytest.fail("there is nothing to wait for"))

    asyncio.run(stamps.switch_on()).close()


def test_a_kernel_that_never_stamps_is_waited_for_only_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stamps, "_PROBES", 3)
    monkeypatch.setattr(stamps, "_working", lambda: False)

    asyncio.run(stamps.switch_on()).close()


def test_packed_stamps_are_read_and_what_is_missing_bears_none() -> None:
    packed = struct.pack("=4q", 2, 5, 0, 0)
    assert stamps.unpacked(packed, 3) == [2_000_000_005, None, None]
    assert stamps.unpacked(packed + b"cut", 2) == [2_000_000_005, None]
    assert stamps.unpacked(b"", 0) == []
