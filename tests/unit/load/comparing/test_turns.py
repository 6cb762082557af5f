"""Two targets in turn; a server of our own, which remembers what it was asked, is both."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from harness.load.comparing.turns import Turns, recorded, take_turns
from harness.load.journal.journal import Facts, JournalError, begin
from harness.load.target import LoadError, Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORDS = 12
CHUNKS = (
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "a"}}]},
    {"choices": [{"index": 0, "delta": {"content": "b"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
)


@contextmanager
def served() -> Iterator[tuple[str, list[str]]]:
    """An API root that answers every chat with two tokens, and the prompts it was sent."""
    prompts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            prompts.append(asked["messages"][0]["content"])
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

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", prompts
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def target(url: str) -> Target:
    return Target(base_url=url, model="m", prompt_tokens=WORDS, answer_tokens=2)


def turns(
    folder: Path,
    url: str,
    *,
    blocks: int = 1,
    stop_after: int | None = None,
    users: int | None = None,
) -> Turns:
    """Blocks of runs; both sides are one engine, whose cache would know what came before.

    ``stop_after`` so many whole runs somebody presses Ctrl-C. Without ``users`` a schedule asks.
    """
    engine, stop = target(url), threading.Event()
    return take_turns(
        engine,
        engine,
        folder=folder,
        level=float(users or 20),
        whole=users is not None,
        blocks=blocks,
        run_s=0.2,
        engine="none",
        stop=stop,
        note=lambda number, _: stop.set() if number + 1 == stop_after else None,
    )


def test_a_block_asks_alike_at_the_same_moments_and_nothing_twice(tmp_path: Path) -> None:
    with served() as (url, prompts):
        taken = turns(tmp_path, url)
    questions, loaded = prompts[:6], prompts[6:]  # three to each side come first
    assert len(set(loaded)) == len(loaded) > 8
    assert not set(loaded) & set(questions)
    assert {len(prompt.split()) for prompt in prompts} == {WORDS}

    a_run, rest = divmod(len(loaded), 4)
    assert rest == 0
    numbers = [(4000 + run) * 1_000_000 + at for run in range(4) for at in range(a_run)]
    made = [json.loads(target(url).make(number).request.body) for number in numbers]
    assert {each["messages"][0]["content"] for each in made} == set(loaded)  # seed 1, block 0

    assert "".join(run.arm for run in taken.runs) == "ABBA"
    assert len({len(run.mets) for run in taken.runs}) == 1
    assert taken.partial == ""
    assert {run.users for run in taken.runs} == {None}
    assert recorded(tmp_path) == taken


@pytest.mark.parametrize("whole", [1, 2, 3])
def test_an_interrupt_in_the_first_block_leaves_nothing_to_compare(
    tmp_path: Path, whole: int
) -> None:
    def said(raised: pytest.ExceptionInfo[LoadError]) -> str:
        assert raised.value.id == "load.no-block"
        return str(raised.value)

    with served() as (url, _), pytest.raises(LoadError) as live:
        turns(tmp_path, url, stop_after=whole)
    assert said(live).startswith("interrupted before the first block of 4 runs was whole")
    assert f"{whole} whole run{'' if whole == 1 else 's'} and" in said(live)
    assert f"harness load report {tmp_path}" in said(live)
    with pytest.raises(LoadError) as again:
        recorded(tmp_path)
    assert said(again) == said(live)


def test_what_was_whole_before_an_interrupt_is_kept_and_the_run_under_way_is_not(
    tmp_path: Path,
) -> None:
    with served() as (url, _):
        taken = turns(tmp_path, url, blocks=3, stop_after=5)
    assert "".join(run.arm for run in taken.runs) == "ABBAB"
    assert taken.partial == "interrupted: 1 of 3 blocks were measured"
    assert recorded(tmp_path) == taken


def test_of_a_record_that_never_ended_the_last_run_is_left_out(tmp_path: Path) -> None:
    """Its process died: nobody knows whether that run was whole."""
    with served() as (url, _):
        taken = turns(tmp_path, url, blocks=2, users=2)
    path = tmp_path / "run.json"
    facts = json.loads(path.read_text())
    del facts["notes"]["runs"]
    path.write_text(json.dumps({**facts, "partial": "it died"}))
    again = recorded(tmp_path)
    assert again.runs == taken.runs[:7]
    assert again.partial == "it died: 1 of 2 blocks were measured"
    for run in again.runs:
        assert run.users == 2
        assert len(run.spans_ns) == len(run.mets) > 2
        # Each of the two has one request at a time.
        ends, begins = sorted(end for _, end in run.spans_ns), [due for due, _ in run.spans_ns]
        assert all(later >= sooner for sooner, later in zip(ends, begins[2:], strict=False))


def test_a_target_that_is_down_leaves_nothing_in_the_way_of_a_second_try(tmp_path: Path) -> None:
    folder = tmp_path / "compare"
    with served() as (url, _):
        pass
    for _ in range(2):
        with pytest.raises(LoadError) as raised:
            turns(folder, url)
        assert raised.value.id == "load.target-down"
        assert not folder.exists()


def test_a_journal_that_is_there_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    facts = Facts(profile="p", seed=1, host="", engine="none", begun_unix_ns=1)
    begin(tmp_path, facts)
    with served() as (url, prompts), pytest.raises(JournalError, match="holds a journal"):
        turns(tmp_path, url)
    assert prompts == []
