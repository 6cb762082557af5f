"""A session on one target: asked first, cut short where it is broken, and interrupted."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
