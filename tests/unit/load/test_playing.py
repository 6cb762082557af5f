"""A session on one target: asked first, cut short where it is broken, and interrupted."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median
from typing import TYPE_CHECKING

import pytest

from harness.load.finding.level import GIVEN_UP
from harness.load.goodput import objectives
from harness.load.journal.journal import Facts, Journal
from harness.load.playing import Session
from harness.load.target import LoadError, Target
from harness.load.workload.prompts import Wording
from harness.load.workload.tokenizer import TokenizerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNKS = (
    {"choices": [{"index": 0, "delta": {"content": "a"}}]},
    {"choices": [{"index": 0, "delta": {"content": "b"}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}},
)


@contextmanager
def answering(count: int) -> Iterator[tuple[str, threading.Event]]:
    """A server that answers so many questions and then none; its API root, and when it is asked."""
    over, asked = threading.Event(), threading.Event()
    left = [count]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            asked.set()
            left[0] -= 1
            if left[0] < 0:
                over.wait(60)
                self.close_connection = True
                return
            common = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            events = [f"data: {json.dumps(common | chunk)}\n\n" for chunk in CHUNKS]
            body = "".join([*events, "data: [DONE]\n\n"]).encode()
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", asked
        finally:
            over.set()
            server.shutdown()
            thread.join()


def facts() -> Facts:
    return Facts(profile="find", seed=1, host="", engine="none", begun_unix_ns=1)


def test_a_level_that_is_broken_is_cut_short_and_what_was_late_is_counted(tmp_path: Path) -> None:
    """The server stalls for good: without a look it would be waited for until the timeout."""
    slo = objectives("p80 e2e < 40ms")
    with (
        answering(3) as (url, _),
        Session(Target(base_url=url, model="m"), folder=tmp_path, facts=facts()) as session,
    ):
        stretch = session.play(60.0, 0.6, 1, whole=False, slo=slo, error=0.03)
    assert stretch.cut.startswith("p80 e2e < 40ms: 0.0% within the limit")
    assert {met.why for met in stretch.mets} == {GIVEN_UP}
    assert stretch.seconds <= 0.6
    rows = list(Journal.read(tmp_path).rows)
    assert {row.labels.get("given-up") for row in rows} == {"1"}
    assert {row.failure for row in rows} == {"cancelled"}
    assert len(stretch.mets) <= sum("warm" not in row.labels for row in rows)
    (told,) = session.notes["workers"].values()
    assert told["vitals"]["exchanges"] >= len(rows)
    assert "slice_ns" in told["vitals"]


def test_a_rate_is_on_for_longer_than_an_answer_before_an_slo_is_held_against_it(
    tmp_path: Path,
) -> None:
    slo = objectives("p80 e2e < 10s")
    with (
        answering(999) as (url, _),
        Session(Target(base_url=url, model="m"), folder=tmp_path, facts=facts()) as session,
    ):
        assert 0 < session._answers_s[0.0] < 60
        session._answers_s = {0.0: 0.4, 99.0: 9.0}
        searched = session.play(20.0, 0.2, 1, whole=False, slo=slo, error=0.03)
        assert session._answers_s[20.0] == pytest.approx(
            median(met.e2e_ms or 0.0 for met in searched.mets) / 1000
        )
        compared = session.play(20.0, 0.2, 2, whole=False)
        closed = session.play(2.0, 0.2, 3, whole=True, slo=slo, error=0.03)
    # 1.25 times the longest answer of no higher level; 0.2 s is the usual warm-up.
    assert (searched.warm_s, compared.warm_s, closed.warm_s) == (0.5, 0.2, None)
    rows = [row for row in Journal.read(tmp_path).rows if row.load == 20.0]
    for stretch in (searched, compared):
        assert len(stretch.spans_ns) == len(stretch.mets)
        assert 0 < round((stretch.answers_per_s or 0.0) * stretch.seconds) <= len(rows)
        assert stretch.tokens_per_s == pytest.approx(2 * (stretch.answers_per_s or 0.0))
    spent_s = sum(ended - due for due, ended in closed.spans_ns) / 1e9
    assert closed.answers_per_s == pytest.approx(2 * len(closed.mets) / spent_s)


def test_an_interrupt_while_the_target_is_asked_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    stop = threading.Event()
    folder = tmp_path / "f"
    with answering(0) as (url, asked):

        def interrupt() -> None:
            asked.wait(30)
            stop.set()

        threading.Thread(target=interrupt).start()
        target = Target(base_url=url, model="m")
        with (
            pytest.raises(LoadError) as raised,
            Session(target, folder=folder, facts=facts(), stop=stop),
        ):
            pass
    assert raised.value.id == "load.interrupted"
    assert not folder.exists()


def test_a_first_answer_of_another_count_is_an_error(tmp_path: Path) -> None:
    wording = Wording(words=("a", "b"), opener="a", added=3)
    with answering(9) as (url, _):
        target = Target(base_url=url, model="m", prompt_tokens=8, prompts="chat", wording=wording)
        with (
            pytest.raises(TokenizerError, match="usage says 9") as raised,
            Session(target, folder=tmp_path / "f", facts=facts()),
        ):
            pass
    assert raised.value.id == "load.tokenizer-mismatch"
