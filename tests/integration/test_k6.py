"""``k6 run loadtests/k6/smoke.js``, for those who have k6: green for whole streams only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CHUNK = json.dumps({"choices": [{"delta": {"content": "a"}, "finish_reason": None}]})
LAST = json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]})
ERROR = json.dumps({"error": {"message": "out of memory"}})
STREAMS = {
    "whole": (CHUNK, LAST, "[DONE]"),
    "cut": (CHUNK, LAST),
    "unfinished": (CHUNK, "[DONE]"),
    "broken": (CHUNK, ERROR, LAST, "[DONE]"),
    "garbled": (CHUNK, '{"choices": [', LAST, "[DONE]"),
    "empty": (),
}
PATIENCE_S = 1

pytestmark = pytest.mark.skipif(
    shutil.which("k6") is None,
    reason="k6 is not installed: https://grafana.com/docs/k6/latest/set-up/install-k6",
)


class Server(BaseHTTPRequestHandler):
    """Answers as the model's name says; ``silent`` never does."""

    def do_GET(self) -> None:
        self._send("application/json", json.dumps({"data": [{"id": "whole"}]}))

    def do_POST(self) -> None:
        model = json.loads(self.rfile.read(int(self.headers["content-length"])))["model"]
        if model == "silent":
            time.sleep(PATIENCE_S + 0.5)
        elif model == "refused":
            self.send_error(400)
        else:
            time.sleep(0.05)
            stream = "".join(f"data: {event}\n\n" for event in STREAMS[model])
            self._send("text/event-stream", stream)

    def _send(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def smoke(**given: str) -> subprocess.CompletedProcess[str]:
    told = {"DURATION": "1s", "USERS": "2", "PATIENCE": str(PATIENCE_S), **given}
    options = [f"--env={name}={value}" for name, value in told.items()]
    return subprocess.run(
        ["k6", "run", "--quiet", "--no-color", *options, "loadtests/k6/smoke.js"],
        cwd=ROOT,
        env={**os.environ, "K6_NO_USAGE_REPORT": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_whole_streams_are_green_and_the_models_are_asked_for(host: str) -> None:
    ended = smoke(HOST=host)

    assert ended.returncode == 0, ended.stderr
    assert "answers_whole..................: 100.00%" in ended.stdout


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("cut", "no [DONE] at the end"),
        ("unfinished", "no finish_reason"),
        ("broken", "an error in the stream"),
        ("garbled", "a chunk that is not JSON"),
        ("empty", "no [DONE] at the end"),
        ("refused", "status 400"),
        ("silent", "request timeout"),
    ],
)
def test_one_that_is_not_whole_is_named_with_the_reason(host: str, model: str, why: str) -> None:
    ended = smoke(HOST=host, MODELS=f"whole,{model}")

    assert ended.returncode == 99
    assert f"{model}: {why}" in ended.stderr


def test_a_server_that_never_answers_is_not_green(host: str) -> None:
    ended = smoke(HOST=host, MODELS="silent", USERS="1")

    assert ended.returncode == 99


@pytest.mark.parametrize("host", ["", "http://model.example"])
def test_nothing_is_asked_of_a_host_that_is_missing_or_not_ours(host: str) -> None:
    ended = smoke(HOST=host, MODELS="whole")

    assert ended.returncode == 107
    assert "give -e " in ended.stderr
