from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from harness.behaviour import access
from harness.evidence import Verdict
from harness.wire import Exchange

if TYPE_CHECKING:
    from harness.answer import Answer

Recorded = Callable[..., Exchange]
PAGE = b"""\
# HELP requests_total Requests
# TYPE requests_total counter
requests_total{model="a b",route="x}y"} 3.0
requests_total{model="c"} 4.0 1395066363000
requests_totally_other 100
plain_total 7
"""


def test_a_stranger_must_be_turned_away_with_an_error_object(
    failed: Callable[[int], Answer], said: Callable[[str], Answer]
) -> None:
    assert access.judge_key("no key", failed(401), admitted=False).verdict is Verdict.PASS
    assert access.judge_key("no key", failed(500), admitted=False).verdict is Verdict.FAIL
    assert access.judge_key("no key", said("hi"), admitted=False).verdict is Verdict.FAIL


def test_the_right_key_must_be_served(
    failed: Callable[[int], Answer], said: Callable[[str], Answer]
) -> None:
    assert access.judge_key("right key", said("hi"), admitted=True).verdict is Verdict.PASS
    assert access.judge_key("right key", failed(401), admitted=True).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("granted", "allowed", "verdict"),
    [
        ("http://a.test", True, Verdict.PASS),
        ("*", True, Verdict.FAIL),
        (None, True, Verdict.FAIL),
        (None, False, Verdict.PASS),
        ("*", False, Verdict.FAIL),
        ("http://a.test", False, Verdict.FAIL),
    ],
)
def test_an_origin_is_let_in_by_name_or_not_at_all(
    recorded: Recorded, granted: str | None, allowed: bool, verdict: Verdict
) -> None:
    headers = {} if granted is None else {"Access-Control-Allow-Origin": granted}
    found = access.judge_origin("http://a.test", recorded(200, b"", headers), allowed=allowed)
    assert found.verdict is verdict


@pytest.mark.parametrize(
    ("addresses", "verdict"),
    [
        (("127.0.0.1:4000", "[::1]:4000"), Verdict.PASS),
        (("127.0.0.1:4000", "0.0.0.0:4001"), Verdict.FAIL),
        (("[::]:4000",), Verdict.FAIL),
        ((), Verdict.FAIL),
        (None, Verdict.NOT_RUN),
    ],
)
def test_every_listening_socket_must_be_on_loopback(
    addresses: tuple[str, ...] | None, verdict: Verdict
) -> None:
    assert access.judge_listeners("gateway", addresses).verdict is verdict


def test_a_counter_is_summed_over_its_series_and_not_over_its_namesakes(
    recorded: Recorded,
) -> None:
    page = recorded(200, PAGE)
    assert access.counter(page, "requests_total") == 7
    assert access.counter(page, "plain_total") == 7
    assert access.counter(page, "absent_total") is None


def test_a_counter_must_move_by_what_was_sent(recorded: Recorded) -> None:
    before, after = recorded(200, b"n_total 1\n"), recorded(200, b"n_total 3\n")
    assert access.judge_counter("n_total", before, after, sent=2).verdict is Verdict.PASS
    assert access.judge_counter("n_total", before, after, sent=3).verdict is Verdict.FAIL
    assert access.judge_counter("other", before, after, sent=1).verdict is Verdict.FAIL


def test_a_page_that_is_none_counts_nothing_and_fails_on_either_side(recorded: Recorded) -> None:
    page, cut = recorded(200, b"n_total 9\n"), recorded(200, b'n_total{a="b')
    assert access.counter(cut, "n_total") is None
    for before, after in ((cut, page), (page, cut)):
        judged = access.judge_counter("n_total", before, after, sent=1)
        assert judged.verdict is Verdict.FAIL
        assert "line 1 is no sample" in judged.reason


def test_a_secret_in_a_file_is_found_and_not_repeated() -> None:
    found = access.leaks({"a.log": b"key=sk-canary", "b.log": b""}, {"MASTER": "sk-canary"})
    assert found.verdict is Verdict.FAIL
    assert found.reason == "MASTER in a.log"
    assert access.leaks({"b.log": b"nothing"}, {"MASTER": "sk-canary"}).verdict is Verdict.PASS
