"""The clerk in a process of its own, where gevent has replaced what it replaces under Locust."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCENES = """
from gevent import monkey
monkey.patch_all()

import json, os, resource, signal, sys
import gevent
from harness.load.journal import parsing
from harness.load.locusts import clerk as clerks
from harness.wire import End, Request
from harness.wire.engine.recorded import UNSTAMPED, Recorded, Tape

N = 40
command = parsing.command()

def recorded(more=b""):
    head, done = b"HTTP/1.1 200 OK\\r\\n\\r\\n", b"data: [DONE]\\n\\n"
    return Recorded(
        id="x", request=Request(method="POST", url="http://g.test/v1/chat/completions"),
        labels={}, scheduled_ns=None, submitted_ns=1, started_ns=2, sent_ns=3, ended_ns=4,
        end=End.EOF, offsets_ns=(None, 0),
        tape=Tape((head, 3, UNSTAMPED, more + done, 4, UNSTAMPED)),
    )

def pack(one, number):
    return parsing.pack(one, number=number, name="m", load=1.0, labels={})

def scene(before=lambda clerk: None, *, n=N, more=b""):
    rows, looks = [], []
    clerk = clerks.Clerk(pack, lambda batch: rows.extend(batch.rows))
    before(clerk)
    for number in range(n):
        clerk.take(recorded(more), number)
    why = clerk.close(lambda judged, of: looks.append((judged, of)))
    return {"why": why, "rows": len(rows), "looks": looks, "dead": clerk._child.poll() is not None}

def stopped(clerk):
    os.kill(clerk._child.pid, signal.SIGSTOP)

def stopped_and_given_up(clerk):
    stopped(clerk)
    gevent.spawn_later(0.3, clerk.give_up)

def choked(clerk):
    stopped(clerk)

    def meanwhile():
        ticks = 0
        while clerk.handed < 10 or ticks < 20:
            gevent.sleep(0.01)
            ticks += 1
        assert clerk.judged == 0
        os.kill(clerk._child.pid, signal.SIGCONT)

    gevent.spawn(meanwhile)

def died(clerk):
    clerk._child.kill()
    while clerk.trouble is None:
        gevent.sleep(0.01)

found = {"whole": scene(), "given up": scene(stopped_and_given_up), "died": scene(died)}
found["choked"] = scene(choked, more=b": " + b"x" * 100_000 + b"\\n\\n")
patience_s, clerks.STALLED_S = clerks.STALLED_S, 0.3
found["stalled"] = scene(stopped)
clerks.STALLED_S = patience_s
parsing.command = lambda: [
    sys.executable, "-c", "from harness.load.journal import parsing; parsing.main(kept_bytes=1)"
]
found["spilled"] = scene()
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
found["full"] = scene()
sys.stdout.write(json.dumps(found))
"""


@pytest.fixture(scope="module")
def scenes() -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", SCENES],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", ["whole", "spilled", "choked"])
def test_everything_is_judged_however_long_it_takes(
    scenes: dict[str, dict[str, Any]], name: str
) -> None:
    assert (scenes[name]["why"], scenes[name]["rows"]) == (None, 40)
    assert {of for _, of in scenes[name]["looks"]} == {40}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("given up", "given up by Ctrl-C"),
        ("died", "the process that does it ended with code -9"),
        ("stalled", "the process that does it made no progress for 0.3 s"),
    ],
)
def test_what_is_lost_is_counted_and_says_why(
    scenes: dict[str, dict[str, Any]], name: str, why: str
) -> None:
    found = scenes[name]
    assert found["why"] == f"{40 - found['rows']} of 40 answers were not judged: {why}"
    assert found["dead"]


def test_a_full_disk_is_no_crash_and_says_what_to_do(scenes: dict[str, dict[str, Any]]) -> None:
    why = scenes["full"]["why"]
    assert why.startswith("40 of 40 answers were not judged: those that wait cannot be kept in ")
    assert "No usable temporary directory" in why
    assert "TMPDIR" in why
