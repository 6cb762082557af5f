from __future__ import annotations

from array import array
from typing import Any

import pytest

from harness.load.trust import Signs, errors, receive_lags, signs
from harness.load.trust.errors import since
from harness.load.trust.reference import Written
from harness.load.trust.server import HEAD, TOKEN, ending
from harness.wire import End, Request
from harness.wire.engine import Lags, Recorded, Vitals
from harness.wire.engine.recorded import UNSTAMPED, Tape

MS = 1_000_000
SENT = 5_000 * MS
RATE = 50.0


def recorded(
    name: str, at_ms: list[float], *, together: int = 0, end: End = End.KEPT, tail: bytes = b""
) -> Recorded:
    """An answer whose tokens the client says it read at ``at_ms`` after it had sent the request.

    The last ``together`` of them came in one read.
    """
    kept: list[bytes | int] = []

    def read(moment_ms: float, data: bytes) -> None:
        kept.extend((data, SENT + round(moment_ms * MS), UNSTAMPED))

    read(0.1, HEAD)
    single = at_ms[: len(at_ms) - together]
    for moment in single:
        read(moment, TOKEN)
    if together:
        read(at_ms[-1], TOKEN * together)
    read(at_ms[-1] + 20, tail or ending(len(at_ms)))
    return Recorded(
        id=name,
        request=Request(method="POST", url=f"http://127.0.0.1:1/v1/chat/completions?tag={name}&"),
        labels={},
        scheduled_ns=None,
        submitted_ns=SENT,
        started_ns=SENT,
        connected_ns=SENT,
        sent_ns=SENT,
        ended_ns=SENT + round((at_ms[-1] + 20) * MS),
        end=end,
        tape=Tape(kept),
    )


def written(at_ms: list[float], *, whole: bool = True, width_ms: float = 0.0) -> Written:
    before = array("q", [SENT + round(moment * MS) for moment in at_ms])
    after = array("q", [moment + round(width_ms * MS) for moment in before])
    return Written(SENT, before, after, whole)


TRUE = [100.0, 120.0, 140.0, 160.0]
ALONE: dict[str, Any] = {"streams": 1, "rate": RATE, "signs": Signs()}


def test_a_client_that_says_what_the_ledger_says_is_right() -> None:
    found = errors([recorded("a", TRUE)], {"a": written(TRUE)}, **ALONE)
    assert found.ttft_p50 is not None
    assert found.itl_p50 is not None
    assert (found.ttft_p50.said_ms, found.ttft_p50.true_ms, found.ttft_p50.off) == (100, 100, 0)
    assert (found.itl_p50.said_ms, found.itl_p50.off) == (20, 0)
    assert (found.answers, found.lost, found.tokens, found.merged) == (1, 0, 4, 0)
    assert found.delivered == pytest.approx(1.0)


def test_a_late_first_token_is_seen_in_the_time_to_it_and_in_the_gap() -> None:
    found = errors([recorded("a", [110.0, *TRUE[1:]])], {"a": written(TRUE)}, **ALONE)
    assert found.ttft_p50 is not None
    assert found.ttft_p50.off == pytest.approx(0.1)
    assert found.ttft_error_p50 is not None
    assert found.ttft_error_p50.value == pytest.approx(10)
    assert found.itl_error_p99 is not None
    assert found.itl_error_p99.value == pytest.approx(10, rel=0.05)


def test_within_the_two_stamps_of_a_write_the_client_is_right() -> None:
    late = [moment + 0.2 for moment in TRUE]
    right = errors([recorded("a", late)], {"a": written(TRUE, width_ms=0.3)}, **ALONE)
    wrong = errors([recorded("a", late)], {"a": written(TRUE, width_ms=0.1)}, **ALONE)
    assert right.ttft_error_p50 is not None
    assert wrong.ttft_error_p50 is not None
    assert right.ttft_error_p50.value == 0
    assert wrong.ttft_error_p50.value == pytest.approx(0.1)


def test_a_server_that_is_late_is_no_error_of_the_client() -> None:
    late = [300.0, 400.0, 500.0, 600.0]
    found = errors([recorded("a", late)], {"a": written(late)}, **ALONE)
    assert found.ttft_p50 is not None
    assert found.ttft_p50.off == 0
    assert found.delivered == pytest.approx(0.2)


def test_tokens_that_shared_a_read_are_counted_and_their_gaps_wrong() -> None:
    found = errors([recorded("a", TRUE, together=3)], {"a": written(TRUE)}, **ALONE)
    assert (found.merged, found.merged_share) == (3, 0.75)
    assert found.itl_p50 is not None
    assert found.itl_p50.off < -0.9


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (recorded("a", TRUE), {}),
        (recorded("a", TRUE), {"a": written(TRUE, whole=False)}),
        (recorded("a", TRUE[:3]), {"a": written(TRUE)}),
        (recorded("a", TRUE, end=End.TIMEOUT), {"a": written(TRUE)}),
        (recorded("a", TRUE, tail=b"0\r\n\r\n"), {"a": written(TRUE)}),
    ],
)
def test_an_answer_that_both_sides_do_not_tell_alike_is_lost(
    one: Recorded, told: dict[str, Written]
) -> None:
    found = errors([one], told, **ALONE)
    assert (found.answers, found.lost, found.ttft_p50) == (1, 1, None)


def test_of_very_many_answers_every_first_token_is_held_against_the_ledger() -> None:
    names = [f"n{number}" for number in range(8)]
    told = {name: written(TRUE) for name in names}
    told["long"] = written([0.0] * 12_000)  # makes the ledger long: every second is read whole
    ones = [recorded(name, [150.0, *TRUE[1:]] if name == "n5" else TRUE) for name in names]
    found = errors(ones, told, **ALONE)
    assert found.ttft_p50 is not None
    assert (found.ttft_p50.n, found.lost, found.tokens) == (8, 0, 16)
    assert found.ttft_error_p99 is not None
    assert found.ttft_error_p99.value > 40


def test_the_interval_is_that_of_the_ranks_around_the_quantile() -> None:
    names = [f"n{number}" for number in range(40)]
    at = {name: [100.0 + number, 130.0 + number] for number, name in enumerate(names)}
    told = {name: written(moments) for name, moments in at.items()}
    late = {name: [moments[0] * 1.02, moments[1] * 1.02] for name, moments in at.items()}
    found = errors([recorded(name, late[name]) for name in names], told, **ALONE)
    assert found.ttft_p50 is not None
    assert found.ttft_p50.interval == pytest.approx((0.02, 0.02))
    assert found.ttft_p99 is not None
    assert found.ttft_p99.interval is None


def vitals(loop: Lags, dispatch: Lags, cpu_s: float | None) -> Vitals:
    return Vitals(
        loop_lag=loop,
        dispatch_lag=dispatch,
        exchanges=0,
        in_flight=0,
        most_in_flight=0,
        queued=0,
        idle=0,
        opened=0,
        cpu_s=cpu_s,
    )


def test_signs_are_what_happened_between_two_looks() -> None:
    early, late = Lags(), Lags()
    early.add(50 * MS)
    late.add(50 * MS)
    late.add(3 * MS, 2)
    found = signs(vitals(early, early, 1.0), vitals(late, late, 1.5), seconds=2.0)
    assert found.loop_lag.count == found.dispatch_lag.count == 2
    assert found.loop_lag.most_ns < 4 * MS
    assert found.cpu_share == pytest.approx(0.25)
    blind = signs(vitals(early, early, None), vitals(late, late, None), seconds=2.0)
    assert blind.cpu_share is None


def test_a_new_largest_lag_is_kept_exactly() -> None:
    early, late = Lags(), Lags()
    early.add(5)
    late.add(5)
    late.add(123_456_789)
    assert since(early, late).most_ns == 123_456_789
    assert since(late, late).quantile_ns(0.5) is None


def test_without_stamps_of_the_kernel_there_is_no_receive_lag() -> None:
    assert receive_lags([recorded("a", TRUE)]).count == 0
