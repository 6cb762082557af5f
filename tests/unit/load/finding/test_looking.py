"""A level is given up only where it is broken for sure, and then at once."""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from harness.evidence import Verdict
from harness.load.driving import Call, scheduled
from harness.load.finding import looking
from harness.load.finding.level import GIVEN_UP, Stretch, Visit, judge
from harness.load.finding.looking import LEAST, LOOKS, Looks, at_best, beyond_doubt, given_up
from harness.load.goodput import METRICS, Met, Objective, objectives
from harness.wire import Request
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.wire.engine import Recorded

SLO = objectives("p80 ttft < 40ms")
ERROR = 0.03


def answered(ms: float) -> Met:
    return Met(whole=True, why="", ttft_ms=ms, e2e_ms=ms, tokens=1)


def mm1(rate: float, seed: str, *, count: int = 400, mu: float = 100.0) -> list[Met]:
    """Times in the system of an M/M/1 queue, begun empty."""
    source, wait, found = random.Random(seed), 0.0, []
    for _ in range(count + 200):
        served = source.expovariate(mu)
        found.append(answered((wait + served) * 1000))
        wait = max(0.0, wait + served - source.expovariate(rate))
    return found[200:]


def looked(mets: Sequence[Met]) -> str:
    """What the looks within a stretch of these would say."""
    for part in (part for part in LOOKS if part <= 1):
        if why := beyond_doubt(mets[: int(len(mets) * part)], SLO, part=part, error=ERROR):
            return why
    return ""


def test_a_level_that_just_holds_is_hardly_ever_given_up() -> None:
    """80 % are in time at 59.76 req/s exactly. Its looks may err 1 % of the error beside it."""
    just = 100 - 40.2359
    assert sum(bool(looked(mm1(just, f"{seed}"))) for seed in range(300)) <= 1


def test_a_level_far_above_what_is_served_is_always_given_up() -> None:
    assert all(looked(mm1(200, f"{seed}")) for seed in range(20))


def test_a_share_that_the_rest_can_still_mend_is_no_reason() -> None:
    mets = [answered(999)] * 50
    assert beyond_doubt(mets, SLO, part=0.5, error=ERROR)
    assert not beyond_doubt(mets, SLO, part=0.19, error=ERROR)
    assert not beyond_doubt([], SLO, part=1.0, error=ERROR)
    both = objectives("p95 e2e < 5s, p80 ttft < 40ms")
    assert beyond_doubt(mets, both, part=0.5, error=ERROR).startswith("p80 ttft")


def test_a_stretch_that_was_cut_short_fails_and_says_so() -> None:
    mets = (answered(999),) * 30 + (Met(whole=False, why=GIVEN_UP),) * 20
    why = "p80 ttft < 40ms: 0.0% within the limit, at most 9.0%; cut short after 4 s: …"
    seen = judge(9.0, [Stretch(mets=mets, seconds=4, took_s=5, cut=why)], SLO, error=ERROR)
    assert (seen.verdict, seen.why, seen.short) == (Verdict.FAIL, why, "broken")
    assert (seen.requests, seen.failed, seen.given_up) == (50, 0, 20)
    assert Visit.from_json(seen.to_json()) == seen


def test_a_client_that_saturated_meanwhile_is_not_the_servers_fault() -> None:
    mets = (answered(999),) * 30
    stretch = Stretch(mets=mets, seconds=4, took_s=5, cut="broken", excuse="client saturated")
    seen = judge(9.0, [stretch], SLO, error=ERROR)
    assert (seen.verdict, seen.why, seen.short) == (Verdict.INCONCLUSIVE, "client saturated", "")


@contextmanager
def stuck(said: bytes = b"") -> Iterator[str]:
    """A server that says this much of an answer and then nothing."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(said)
            over.wait(60)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        over.set()
        server.shutdown()
        thread.join()


def asked(url: str, slo: str, *, count: int = 60, seconds: float = 0.6) -> tuple[Looks, bool]:
    with LoadEngine(timeout_s=60) as engine:
        looks = Looks(objectives(slo), error=ERROR, from_ns=time.monotonic_ns(), seconds=seconds)
        moments = [number * seconds / count for number in range(count)]
        request = Request(method="GET", url=url)
        drive = scheduled(engine, lambda _: Call(request), moments, enough=looks)
    assert not drive.complete
    return looks, drive.cut


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize("said", [b"", HEAD])
@pytest.mark.parametrize("slo", ["p80 ttft < 40ms", "p80 e2e < 40ms", "p80 e2e-from-due < 40ms"])
def test_what_is_under_way_and_late_ends_a_load_that_would_wait_for_ever(
    slo: str, said: bytes
) -> None:
    with stuck(said) as url:
        looks, cut = asked(url, slo)
    assert cut
    assert looks.cut.startswith(f"{slo}: ")
    assert "the rest cannot mend it" in looks.cut


def test_more_under_way_than_a_client_holds_ends_it_without_a_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looking, "MOST_UNDER_WAY", 20)
    with stuck() as url:
        looks, cut = asked(url, "p80 itl < 40ms")
    assert cut
    assert not looks.cut
    assert looks.excuse.startswith("the client is saturated: more than 20 requests are under way")


def test_a_client_that_asks_late_ends_it_without_a_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looking, "MOST_LATE_S", -0.6)  # every request is handed over before it
    with stuck() as url:
        looks, _ = asked(url, "p80 itl < 40ms")
    assert "s later than due" in looks.excuse


def so_far(said: bytes) -> Recorded:
    with stuck(said) as url, LoadEngine(timeout_s=60) as engine:
        ticket = engine.submit(Request(method="GET", url=url))
        while (now := ticket.so_far()) is None or now.tape.size < len(said):
            threading.Event().wait(0.005)
        assert ticket.recorded is None
        return now


def test_nothing_is_held_against_a_request_of_which_nothing_is_known() -> None:
    assert all(Objective(metric, 0.0, 0.5).held_by(LEAST) for metric in METRICS)


def test_the_best_that_can_still_come() -> None:
    token = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    for said, begun in ((HEAD, False), (HEAD + token, True)):
        recorded = so_far(said)
        assert recorded.sent_ns is not None
        later_ns = recorded.sent_ns + 5_000_000_000
        best = at_best(recorded, later_ns)
        assert best.whole
        assert (best.ttft_ms == best.visible_ms == 5000) is not begun
        assert (best.e2e_ms, best.itl_ms, best.tpot_ms) == (5000, 0, 0)
        recorded.ended_ns = later_ns
        late = given_up(recorded, objectives("p80 ttft < 4s"))
        assert (late is None) is begun
        assert given_up(recorded, objectives("p80 tpot < 4s")) is None
