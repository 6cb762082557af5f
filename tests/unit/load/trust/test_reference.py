from __future__ import annotations

import socket
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from harness import answer as answers
from harness.load.driving import closed
from harness.load.trust import Reference, TrustError, reference, server
from harness.load.trust.reference import Written, tag
from harness.wire import Request, parse
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the reference server needs epoll")


@pytest.fixture(scope="module")
def running() -> Iterator[Reference]:
    with Reference(rate=500, tokens=4, streams=2) as started:
        yield started


def test_its_ledger_tells_every_token_that_the_client_reads(running: Reference) -> None:
    with LoadEngine() as engine:
        drive = closed(engine, running.make, users=2, requests=4)
    ledger = running.ledger()
    assert len(ledger) == 4
    for one in drive.recorded:
        told, answer = ledger[tag(one.request)], answers.read(one.exchange)
        assert told.whole
        assert answer.wholeness
        assert len(answer.deltas) == len(told.before) == len(told.after)
        assert answer.usage is not None
        assert answer.usage["completion_tokens"] == len(told.after)
        assert one.submitted_ns <= told.arrived_ns <= told.before[0]
        assert all(a <= b for a, b in zip(told.before, told.after, strict=True))
        assert all(a <= b for a, b in pairwise(told.after))
    assert running.ledger() == {}


def test_no_token_leaves_before_it_is_due(running: Reference) -> None:
    with LoadEngine() as engine:
        closed(engine, running.make, users=1, requests=1, first=10)
    (told,) = running.ledger().values()
    for number, before in enumerate(told.before):
        assert before - told.arrived_ns >= (100 + 2 * number) * 1_000_000


def test_the_same_number_asks_the_same(running: Reference) -> None:
    assert running.make(3) == running.make(3)
    assert running.make(3) != running.make(4)
    lengths = {running.make(number).request.url.partition("tokens=")[2] for number in range(50)}
    assert len(lengths) > 2


def test_a_client_that_leaves_gets_no_whole_answer_into_the_ledger(running: Reference) -> None:
    request = running.make(20).request
    path = request.url.removeprefix(running.make(0).request.url.partition("/v1")[0])
    port = int(request.url.split(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
        assert sock.recv(1)
    told: dict[str, Written] = {}
    while not told:  # the server learns of it when it next reads, or writes
        told = running.ledger()
    assert [one.whole for one in told.values()] == [False]


def test_anything_else_is_not_found(running: Reference) -> None:
    request = Request(method="GET", url=running.make(0).request.url.partition("?")[0])
    with LoadEngine() as engine:
        assert parse(engine.submit(request).wait(30).exchange).status == 404


def test_a_request_in_pieces_is_one_request(running: Reference) -> None:
    path = running.make(30).request.url.partition("/v1")[2]
    port = int(running.make(30).request.url.split(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        said = f"POST /v1{path} HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
        for letter in said:
            sock.sendall(letter.encode())
        heard = b""
        while part := sock.recv(65_536):
            heard += part
    assert heard.count(server.TOKEN) == running.ledger()[tag(running.make(30).request)].whole * (
        int(running.make(30).request.url.partition("tokens=")[2].partition("&")[0])
    )


def test_it_ends_when_whoever_started_it_is_gone() -> None:
    with Reference(rate=50) as started:
        process = started._servers[0]
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
        with pytest.raises(TrustError, match="did not hand over its ledger"):
            started.ledger()


def test_a_server_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "_PROGRAM", reference._PROGRAM.with_name("no_server.py"))
    with pytest.raises(TrustError, match=r"no_server\.py") as raised, Reference(rate=50):
        pass
    assert raised.value.id == "load.client.reference"


def test_more_tokens_a_second_than_one_process_sends_take_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert Reference(rate=50, streams=600)._needed() == 1
    assert Reference(rate=50, streams=601)._needed() == 2
    assert Reference(rate=50, streams=60_000)._needed() == 3


@pytest.mark.parametrize("asked", [{"streams": 0}, {"tokens": 1}, {"rate": 0.0}, {"rate": 1e9}])
def test_what_makes_no_sense_is_refused(asked: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give"):
        Reference(**{"rate": 50.0, **asked})  # type: ignore[arg-type]


def test_its_program_needs_nothing_but_the_standard_library() -> None:
    ask = (
        "import runpy, sys; runpy.run_path(sys.argv[1]);"
        "print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    )
    run = [sys.executable, "-I", "-S", "-c", ask, str(reference._PROGRAM)]
    said = subprocess.run(run, capture_output=True, text=True, check=True)
    assert said.stdout.split() in ([], ["__main__"])
