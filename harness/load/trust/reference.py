"""The known-timing server as the harness uses it: started, asked, its ledger read, stopped."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from array import array
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.load.driving import Call
from harness.wire import Request, blocking, parse

if TYPE_CHECKING:
    from types import TracebackType

FIRST_MS = 100.0
"""Time to the first token of a reference answer, in milliseconds."""
TOKENS_A_SERVER = 30_000
"""Tokens a second that one server process is asked for at most."""
_SPREAD = (0.5, 1.5)
"""Lengths of answers vary by this, so that streams do not run in step."""
_TAG = re.compile(r"[?&]tag=([\w.-]+)")
_LOWEST_RATE, _HIGHEST_RATE = 1.0, 10_000.0
_FEWEST_TOKENS, _MOST_TOKENS = 4, 32
_PROGRAM = Path(__file__).with_name("server.py")
_numbers = count(1)


def tag(request: Request) -> str:
    """What the ledger knows a request by."""
    found = _TAG.search(request.url)
    return found[1] if found else ""


def _read(told: bytes) -> dict[str, Written]:
    index, _, packed = told.partition(b"\n")
    stamps: array[int] = array("q")
    stamps.frombytes(packed)
    found, at = {}, 0
    for name, arrived_ns, tokens, whole in json.loads(index):
        mine = stamps[at : at + 2 * tokens]
        found[name] = Written(arrived_ns, mine[::2], mine[1::2], whole)
        at += 2 * tokens
    return found


class TrustError(RuntimeError):
    """A client cannot be measured; ``id`` is a key of `harness.load.trust.EXPLAINED`."""

    def __init__(self, id_: str, text: str) -> None:
        self.id = id_
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Written:
    """What the server did for one request: moments on CLOCK_MONOTONIC, in nanoseconds."""

    arrived_ns: int
    """When the request had arrived, as the kernel saw it."""
    before: array[int]
    """Just before each token was handed to the kernel."""
    after: array[int]
    """Just after: the token arrived at the client between the two."""
    whole: bool
    """Whether all tokens and the end were sent."""


class Reference:
    """The server of `harness.load.trust.server`, in as many processes as the load needs.

    ``rate`` is tokens a second of each stream, ``streams`` how many there will be at once, and
    ``tokens`` the mean length of an answer (default: a second's worth, 4 to 32).
    Blocking, and usable from a thread as from a gevent greenlet. The processes end with this one,
    however it ends.

    Raises:
        ValueError: no stream, or a rate that is none.
        TrustError: ``load.client.reference``: the server does not start here.
    """

    def __init__(
        self, *, rate: float, streams: int = 1, tokens: int | None = None, seed: int = 1
    ) -> None:
        if tokens is None:
            tokens = max(_FEWEST_TOKENS, min(_MOST_TOKENS, round(rate)))
        if streams < 1 or tokens < 2:
            raise ValueError(f"{streams} streams of {tokens} tokens: give at least 1 of 2")
        if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
            raise ValueError(
                f"a rate of {rate} tokens a second: give {_LOWEST_RATE} to {_HIGHEST_RATE:g}"
            )
        self.rate, self.streams, self.tokens, self.seed = rate, streams, tokens, seed
        self._prefix = f"{os.getpid()}.{next(_numbers)}"
        self._servers: list[subprocess.Popen[bytes]] = []
        self._urls: list[str] = []

    def __enter__(self) -> Self:
        try:
            for _ in range(self._needed()):
                self._start_one()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def answer_s(self, tokens: int | None = None) -> float:
        """How long an answer of the mean length takes, or of ``tokens``."""
        return FIRST_MS / 1000 + (tokens or self.tokens) / self.rate

    def make(self, number: int, *, tokens: int | None = None) -> Call:
        """The request of a number: a pure function of it, the seed and this server.

        ``tokens`` is the mean length of such answers, if it is to be another one.
        """
        source = random.Random(f"{self.seed}/reference/{number}")  # noqa: S311 - a schedule
        tokens = max(2, round((tokens or self.tokens) * source.uniform(*_SPREAD)))
        url = (
            f"{self._urls[number % len(self._urls)]}/v1/chat/completions?tag={self._prefix}."
            f"{number}&tokens={tokens}&first_us={FIRST_MS * 1000:.0f}&gap_us={1e6 / self.rate:.0f}"
        )
        request = Request(
            method="POST",
            url=url,
            headers=(("Content-Type", "application/json"),),
            body=b'{"model":"reference","messages":[],"stream":true}',
        )
        return Call(request, {"reference": self._prefix})

    def ledger(self) -> dict[str, Written]:
        """What was sent since it was last asked, by `tag` of the request.

        Raises:
            TrustError: ``load.client.reference``: the server has ended.
        """
        found: dict[str, Written] = {}
        for url in self._urls:
            exchange = blocking.exchange(Request(method="GET", url=f"{url}/ledger"), timeout_s=20)
            told = parse(exchange)
            if told.status != 200 or not told.complete:
                raise TrustError(
                    "load.client.reference",
                    f"the reference server did not hand over its ledger: {exchange.detail}",
                )
            found |= _read(told.body)
        return found

    def close(self) -> None:
        """Stop the processes. What they had to tell is gone."""
        for server in self._servers:
            server.kill()
            server.wait()
            for pipe in (server.stdin, server.stdout, server.stderr):
                if pipe is not None:
                    pipe.close()
        self._servers.clear()

    def _needed(self) -> int:
        wanted = -(-round(self.streams * self.rate) // TOKENS_A_SERVER)
        return max(1, min(wanted, (os.cpu_count() or 1) - 1))

    def _start_one(self) -> None:
        server = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_PROGRAM)],
            stdin=subprocess.PIPE,  # its lifeline: it ends when this end is closed
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._servers.append(server)
        said = server.stdout.readline().strip() if server.stdout else b""
        if not said.isdigit():
            _, errors = server.communicate()
            last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise TrustError(
                "load.client.reference",
                f"the reference server did not start; the last it said: {last[0]}",
            )
        self._urls.append(f"http://127.0.0.1:{int(said)}")
