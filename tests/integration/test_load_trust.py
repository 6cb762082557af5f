"""A client that is really made to saturate is not believed; one that is not, is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.evidence import Verdict
from harness.load.driving import Call, closed
from harness.load.trust import Limits, Reference, Trust, receive_lags
from harness.wire.engine import LoadEngine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from harness.load.trust import Trusted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the reference server needs epoll")

RATE = 50.0
CLIENT = Path(__file__).with_name("trusted_client.py")
GENEROUS = Limits(
    ttft_p50=0.5, ttft_p99=50, itl_p50=0.9, itl_error=50, lag=50, own_lag=50, merged=0.5,
    dispatch_ms=5000, delivered=0.2,
)  # fmt: skip
"""A busy machine may bend a few answers; it is only asked whether most are right."""


@pytest.fixture
def target() -> Iterator[Reference]:
    with Reference(rate=RATE, tokens=16, streams=8) as running:
        yield running


def played(
    target: Reference,
    folder: Path,
    engine: LoadEngine,
    limits: Limits,
    meanwhile: AbstractContextManager[None] | None = None,
) -> Trusted:
    with engine, Trust(engine, streams=8, rate=RATE, limits=limits, folder=folder) as trust:
        trust.before(seconds=0.2)
        with trust.during(), meanwhile or nullcontext():
            drive = closed(engine, target.make, users=8, requests=16)
        return trust.judge(receive_lag=receive_lags(drive.recorded))


@contextmanager
def hogged() -> Iterator[None]:
    """A thread computes whose steps are long: it lets nobody in between."""
    over = threading.Event()

    def hog() -> None:
        while not over.is_set():
            sum(range(2_000_000))

    thread = threading.Thread(target=hog)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_client_that_is_not_busy_is_believed(target: Reference, tmp_path: Path) -> None:
    found = played(target, tmp_path, LoadEngine(), GENEROUS)
    assert found.why == ()
    assert found.verdict is Verdict.PASS
    phases = {row.subject.partition(":")[2] for row in found.evidence}
    assert phases == {"before", "during", "load", ""}


def test_a_thread_that_holds_the_interpreter_is_found_out(
    target: Reference, tmp_path: Path
) -> None:
    found = played(target, tmp_path, LoadEngine(), Limits(), hogged())
    assert found.verdict is Verdict.INCONCLUSIVE
    spoilt = [row.subject for row in found.evidence if "client saturated" in row.reason]
    assert "client:during" in spoilt, found.lines()


def test_more_streams_than_the_client_may_have_are_found_out(
    target: Reference, tmp_path: Path
) -> None:
    limits = replace(GENEROUS, dispatch_ms=Limits().dispatch_ms)
    found = played(target, tmp_path, LoadEngine(max_in_flight=3), limits)
    assert found.verdict is Verdict.INCONCLUSIVE
    spoilt = [row.check for row in found.evidence if "client saturated" in row.reason]
    assert spoilt == ["load.client.dispatch-lag"], found.lines()


def test_a_process_that_was_stopped_is_found_out() -> None:
    command = [sys.executable, str(CLIENT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as client:
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == "loading\n"
            os.kill(client.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, client.pid, os.WSTOPPED)
            time.sleep(0.6)  # thirty tokens of every stream
            os.kill(client.pid, signal.SIGCONT)
            said = client.stdout.read()
        finally:
            client.kill()
    assert said.startswith("inconclusive"), said
    assert "client saturated" in said


def test_a_server_that_is_gone_is_no_pass(target: Reference, tmp_path: Path) -> None:
    with LoadEngine() as engine, Trust(engine, streams=2, rate=RATE, folder=tmp_path) as trust:
        for server in trust._reference._servers:
            server.kill()
            server.wait()
        assert trust.before(seconds=0.1) is None

        def make(number: int) -> Call:
            return target.make(number)

        with trust.during():
            closed(engine, make, users=1, requests=1)
        found = trust.judge()
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "did not hand over its ledger" in found.why[0]
