"""Locust as it comes: FastHttpUser, its client's ``iter_lines``, the clock read at every line."""

from __future__ import annotations

import json
import os
import time
from itertools import pairwise
from pathlib import Path

import gevent
from locust import FastHttpUser, events, task

WANTED = int(os.environ["STOCK_REQUESTS"])
ttft: list[float] = []
itl: list[float] = []
asked = 0


class Chat(FastHttpUser):
    """Asks for streams one after another."""

    network_timeout = connection_timeout = 60.0

    @task
    def ask(self) -> None:
        """One stream; quits once enough have been read."""
        global asked  # noqa: PLW0603 - one process
        if asked >= WANTED:
            time.sleep(0.2)  # the others are still reading
            return
        asked += 1
        body = {
            "model": "timed",
            "stream": True,
            "messages": [{"role": "user", "content": "hello"}],
        }
        begun = time.perf_counter()
        stamps = []
        for line in self.client.iter_lines("/v1/chat/completions", method="POST", json=body):
            if '"content"' in line:
                stamps.append(time.perf_counter())  # noqa: PERF401 - as it comes
        ttft.append((stamps[0] - begun) * 1e3)
        itl.extend((later - earlier) * 1e3 for earlier, later in pairwise(stamps))
        if len(ttft) >= WANTED:
            gevent.spawn(self.environment.runner.quit)  # which ends this greenlet too


@events.quitting.add_listener
def tell(**_: object) -> None:
    """Write what was met."""
    ranked, gaps = sorted(ttft), sorted(itl)
    said = {
        "requests": len(ranked),
        "p50": ranked[len(ranked) // 2],
        "p99": ranked[int(0.99 * (len(ranked) - 1))],
        "itl": gaps[len(gaps) // 2],
    }
    Path(os.environ["STOCK_OUTPUT"]).write_text(json.dumps(said))
