"""What one turn of the loop does first."""

from __future__ import annotations

import time
from typing import Any

from harness.wire.engine.loop import _FEW, _LATE_NS, _VOLLEY, Loop
from harness.wire.engine.natives import IN


def test_while_the_loop_is_behind_reading_goes_before_starting() -> None:
    loop: Any = Loop(
        max_in_flight=100,
        max_answer_bytes=1,
        max_kept_bytes=1,
        keep=True,
        idle_s=1.0,
        rest_s=0.0,
        gather_s=0.0,
        trust=None,
    )

    def read(_: int) -> None:
        loop._bell.hush()
        time.sleep(2 * _LATE_NS / 1e9)

    started: list[int] = []
    loop._intake.watch(loop._bell.fd, IN, read)
    loop._launch = started.append
    loop._due.extend(range(100))
    loop._turn()
    assert started == list(range(_VOLLEY))
    loop._bell.ring()
    loop._turn()
    assert len(started) == _VOLLEY + _FEW
    loop._turn()
    assert len(started) == 2 * _VOLLEY + _FEW
    loop._poller.close()
    loop._bell.close()
    loop.ready.close()


def test_who_hands_something_over_rings_only_where_the_loop_sleeps() -> None:
    loop: Any = Loop(
        max_in_flight=1,
        max_answer_bytes=1,
        max_kept_bytes=1,
        keep=True,
        idle_s=1.0,
        rest_s=0.0,
        gather_s=0.0,
        trust=None,
    )
    orders: list[str] = []
    loop.post(lambda: orders.append("awake"))
    assert not loop._bell.wait(0)
    loop._turn()  # it looks into its inbox before it sleeps
    loop._asleep = True
    loop.post(lambda: orders.append("asleep"))
    assert loop._bell.wait(0)
    loop._turn()
    assert orders == ["awake", "asleep"]
    loop._poller.close()
    loop._bell.close()
    loop.ready.close()
